# A stand-in for what Homebrew gives a formula: as much of it as homebrew/philote.rb asks for, and not a word more, so
# that a word which Homebrew does not have is an error here too. Everything happens below the directory $SCRATCH.

require "digest"
require "fileutils"
require "open3"
require "pathname"
require "socket"

SCRATCH = Pathname(ENV.fetch("SCRATCH"))
REPRODUCIBLY = Pathname(__dir__).join("../../packaging/reproducibly").expand_path.to_s
HOMEBREW_PREFIX = SCRATCH/"homebrew"

class Pathname
  # Files, or a hash from a file to its new name, are put into this directory.
  def install(*sources)
    mkpath
    sources.each do |source|
      pairs = source.is_a?(Hash) ? source.to_a : [[source, File.basename(source)]]
      pairs.each { |from, name| install_one(Pathname(from), self/name) }
    end
  end

  def install_one(from, target)
    FileUtils.cp from, target
  end
end

# Below `etc` what is there and differs is kept, and the new one put beside it.
module InstallRenamed
  def install_one(from, target)
    kept = target.exist? && target.read != from.read
    super(from, kept ? Pathname("#{target}.default") : target)
  end

  def /(other)
    super.extend(InstallRenamed)
  end
end

# What the block of `service` says, and the plist and the unit that come of it.
class Service
  PROCESS_TYPES = [:background, :standard, :interactive, :adaptive].freeze
  KEEP_ALIVE = [:always, :successful_exit, :crashed, :path].freeze

  def initialize(formula, &block)
    @formula = formula
    instance_eval(&block)
  end

  def opt_bin = @formula.opt_bin
  def var = @formula.var

  def run(command)
    @command = command.map(&:to_s)
  end

  def keep_alive(conditions)
    raise TypeError, conditions.inspect unless (conditions.keys - KEEP_ALIVE).empty?

    @keep_alive = conditions
  end

  def process_type(type)
    raise TypeError, type.inspect unless PROCESS_TYPES.include?(type)

    @process_type = type
  end

  attr_reader :command

  def error_log_path(path)
    @error_log_path = path.to_s
  end

  # Of the conditions to keep it alive launchd is given one; `successful_exit` goes before `crashed`.
  def to_plist
    alive = if @keep_alive.key?(:successful_exit)
      { "SuccessfulExit" => @keep_alive[:successful_exit] }
    else
      { "Crashed" => @keep_alive[:crashed] }
    end
    plist("Label" => "homebrew.mxcl.philote", "ProgramArguments" => command, "RunAtLoad" => true,
          "KeepAlive" => alive, "ProcessType" => @process_type.to_s.capitalize,
          "StandardErrorPath" => @error_log_path)
  end

  # systemd restarts where it is to be kept alive after a crash.
  def to_systemd_unit
    restart = @keep_alive[:crashed] ? ["Restart=on-failure"] : []
    ["[Service]", "Type=simple", "ExecStart=#{command.join(" ")}", *restart,
     "StandardError=append:#{@error_log_path}", ""].join("\n")
  end

  private

  def plist(value)
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">#{element(value)}</plist>\n"
  end

  def element(value)
    case value
    when Hash then "<dict>#{value.map { |key, of| "<key>#{key}</key>#{element(of)}" }.join}</dict>"
    when Array then "<array>#{value.map { |of| element(of) }.join}</array>"
    when true, false then "<#{value}/>"
    else "<string>#{value.to_s.gsub("&", "&amp;").gsub("<", "&lt;")}</string>"
    end
  end
end

# What `inreplace` gives its block. A text that is not there is an error.
class Replaced
  attr_reader :text

  def initialize(text)
    @text = text
  end

  def gsub!(before, after)
    raise "inreplace: there is no #{before.inspect}" unless @text.include?(before)

    @text = @text.gsub(before, after)
  end
end

class Formula
  class << self
    attr_reader :facts, :service_block, :test_block

    [:desc, :homepage, :url, :sha256, :license].each do |word|
      define_method(word) { |value| fact(word, value) }
    end

    def head(url, branch:)
      fact(:head, [url, branch])
    end

    def livecheck(&block)
      check = Struct.new(:said) do
        def url(what) = said << what
        def strategy(how) = said << how
      end.new([])
      check.instance_eval(&block)
      fact(:livecheck, check.said)
    end

    def depends_on(what)
      fact(:depends_on, what)
    end

    def service(&block)
      @service_block = block
    end

    def test(&block)
      @test_block = block
    end

    def fact(word, value)
      @facts ||= {}
      @facts[word] = value
    end
  end

  attr_reader :buildpath, :testpath

  def initialize
    @buildpath = SCRATCH/"build/philote-#{version}"
    @testpath = SCRATCH/"test"
  end

  # Homebrew takes it from the name of the archive.
  def version = self.class.facts.fetch(:url)[/-(\d+\.\d+\.\d+)\.tar\.gz\z/, 1]
  def prefix = HOMEBREW_PREFIX/"Cellar/philote/#{version}"
  def bin = prefix/"bin"
  def doc = prefix/"share/doc/philote"
  def man1 = prefix/"share/man/man1"
  def man5 = prefix/"share/man/man5"
  def bash_completion = prefix/"etc/bash_completion.d"
  def zsh_completion = prefix/"share/zsh/site-functions"
  def fish_completion = prefix/"share/fish/vendor_completions.d"
  def opt_bin = HOMEBREW_PREFIX/"opt/philote/bin"
  def etc = (HOMEBREW_PREFIX/"etc").extend(InstallRenamed)
  def pkgetc = etc/"philote"
  def var = HOMEBREW_PREFIX/"var"
  def std_cargo_args = ["--locked", "--root=#{prefix}", "--path=."]

  def system(*command)
    command = command.map(&:to_s)
    # With the flags of the project's own release builds, whose compiled crates then do again; Homebrew gives none.
    command.unshift(REPRODUCIBLY) if command.first(2) == %w[cargo install]
    Kernel.system(*command) or raise "failed: #{command.join(" ")}"
  end

  def inreplace(path)
    replaced = Replaced.new(File.read(path))
    yield replaced
    File.write(path, replaced.text)
  end

  def free_port
    TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
  end

  def shell_output(command)
    output, status = Open3.capture2(command)
    raise "#{command}: #{status}" unless status.success?

    output
  end

  def assert(holds, message = "that does not hold")
    raise message unless holds
  end

  def assert_equal(expected, actual)
    assert(expected == actual, "expected #{expected.inspect}, got #{actual.inspect}")
  end

  def assert_match(expected, actual)
    assert(actual.include?(expected), "#{expected.inspect} is not in #{actual.inspect}")
  end

  # What Homebrew does with it.

  # The archive has to be the one whose sum the formula has.
  def fetch
    archive = self.class.facts.fetch(:url).delete_prefix("file://")
    sum = Digest::SHA256.file(archive).hexdigest
    assert_equal self.class.facts.fetch(:sha256), sum
    FileUtils.rm_rf buildpath
    buildpath.dirname.mkpath
    system "tar", "--extract", "--gzip", "--file", archive, "--directory", buildpath.dirname
  end

  # In the directory and with an environment of its own.
  def within(directory)
    directory.mkpath
    kept = ENV.to_h
    Dir.chdir(directory) { yield }
  ensure
    ENV.replace(kept)
  end

  def link
    opt = HOMEBREW_PREFIX/"opt/philote"
    opt.dirname.mkpath
    FileUtils.rm_f opt
    FileUtils.ln_s prefix, opt
  end

  def to_service = Service.new(self, &self.class.service_block)

  def run_test
    FileUtils.rm_rf testpath
    within(testpath) { instance_exec(&self.class.test_block) }
  end
end
