# Does with the formula that is its argument what `brew install`, `brew test` and `brew services` do, below $SCRATCH, and
# looks at what comes of it. Says "the formula does it all" where it does.

require_relative "stand_in"
load ARGV.fetch(0)

def holds(what)
  raise "not so: #{what}" unless yield
end

facts = Philote.facts
holds("everything is said that Homebrew asks for") do
  [:desc, :homepage, :url, :sha256, :license, :head, :livecheck, :depends_on].all? { |word| facts[word] }
end
holds("the description is as Homebrew wants it") do
  facts[:desc].length <= 80 && facts[:desc] !~ /\A(an?|the|philote) |\.\z/i
end

philote = Philote.new
philote.fetch
philote.within(philote.buildpath) { philote.install }
philote.link
philote.post_install

[philote.bin/"philote", philote.man1/"philote.1", philote.man5/"philote.toml.5", philote.doc/"config.example.toml",
 philote.doc/"THIRD-PARTY", philote.bash_completion/"philote", philote.zsh_completion/"_philote",
 philote.fish_completion/"philote.fish"].each { |path| holds("#{path} is there") { path.size.positive? } }
config = philote.pkgetc/"config.toml"
holds("the configuration names nothing outside of the prefix") do
  config.read.scan(%r{"(/.*)"}).flatten.all? { |path| path.start_with?(HOMEBREW_PREFIX.to_s) }
end
holds("it allows as many connections as macOS gives open files for") do
  config.read[/^max_connections = (\d+)$/, 1].to_i.between?(1000, 10_240 - 1024 - 128)
end
secret = philote.pkgetc/"secret"
holds("a secret was made for its owner alone") { secret.read =~ /\A\h{64}\n\z/ && secret.stat.mode & 0o7777 == 0o600 }
holds("the caveats say where it is") { philote.caveats.lines.map(&:strip).include?(secret.to_s) }
command = philote.to_service.command
holds("the service runs what was installed") { command == [(philote.opt_bin/"philote").to_s, "serve"] }
system command[0], "check", exception: true

# Installed again: what was changed and the secret stay.
made = secret.read
config.write "# Changed.\n#{config.read}"
changed = config.read
philote.pkgetc.install philote.buildpath/"packaging/launchd/config.toml"
philote.post_install
holds("an edited configuration is kept, and the new one is put beside it") do
  config.read == changed && Pathname("#{config}.default").exist?
end
holds("the secret is never made anew") { secret.read == made }

philote.run_test
(SCRATCH/"homebrew.mxcl.philote.plist").write philote.to_service.to_plist
(SCRATCH/"homebrew.philote.service").write philote.to_service.to_systemd_unit
puts "the formula does it all"
