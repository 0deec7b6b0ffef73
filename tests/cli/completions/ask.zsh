# Prints what zsh offers at the end of the line that is its argument, with the completions of the current directory:
# a word a line. An interactive zsh at a terminal of its own is typed to, and says in a file what it would offer.

emulate -L zsh
zmodload zsh/zpty zsh/datetime zsh/zselect

directory=$PWD
offers=$directory/offers
rm -f $offers
: >$offers

cat >$directory/inner.zsh <<'INNER'
PS1=
fpath=($directory $fpath)
autoload -Uz compinit
compinit -u -D
zstyle ':completion:*' insert-tab false
# What asks only which would match, for itself, is let through.
compadd() {
  if [[ ${argv[1,(i)(-|--)]} == *-[OAD]* ]]; then
    builtin compadd "$@"
    return
  fi
  local -a hits
  builtin compadd -A hits "$@"
  (( $#hits )) && print -rl -- $hits >>$offers
  builtin compadd "$@"
}
ask() {
  zle list-choices
  print -r -- ended >>$offers.ended
}
zle -N ask
bindkey '^I' ask
bindkey '^[[Z' ask
print -r -- ready
INNER

rm -f $offers.ended
zpty inner "directory=${(q)directory} offers=${(q)offers} zsh -f -i"
zpty -w inner "directory=${(q)directory}; offers=${(q)offers}; source ${(q)directory}/inner.zsh"
zpty -r inner output '*'$'\n''ready*' || exit 1
zpty -w -n inner "$1"$'\t'
# Reading takes what it writes to its terminal, so that it does not stand still before it.
deadline=$(( EPOCHREALTIME + 20 ))
while [[ ! -e $offers.ended ]]; do
  (( EPOCHREALTIME < deadline )) || { print -ru2 -- "it does not answer: $output"; exit 1 }
  zpty -rt inner output || zselect -t 1
done
zpty -d inner
sort -u $offers
