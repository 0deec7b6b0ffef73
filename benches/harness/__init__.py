"""What `make bench` and `make bench-plots` are made of; see benches/README.md.

machine    the two cores to measure on, and the facts that belong beside a figure
servers    philote and its peers: whether they are there, starting and stopping one
company    what happens at a server beside what is measured
generator  one run of wsload, and what its report says
series     runs of several servers in alternation, repeated until they agree
shapes     what is measured, one file for each kind
tables     results as text and as Markdown
svg, plots charts
"""
