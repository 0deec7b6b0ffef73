class Philote < Formula
  desc "WebSocket publish/subscribe server"
  homepage "https://github.com/pote/philote"
  url "https://github.com/pote/philote/releases/download/v1.0.0/philote-1.0.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "MIT"
  head "https://github.com/pote/philote.git", branch: "main"

  livecheck do
    url :stable
    strategy :github_latest
  end

  depends_on "rust" => :build

  def install
    # Where it looks for its configuration and its control socket is chosen when it is built.
    ENV["PHILOTE_SYSCONFDIR"] = etc.to_s
    ENV["PHILOTE_RUNSTATEDIR"] = (var/"run").to_s
    system "cargo", "install", *std_cargo_args

    system "cargo", "run", "--locked", "--example", "manual", "--", buildpath/"pages"
    system "cargo", "run", "--locked", "--example", "notices", "--", buildpath/"pages/THIRD-PARTY"
    man1.install "pages/man/philote.1"
    man5.install "pages/man/philote.toml.5"
    bash_completion.install "pages/completions/philote.bash" => "philote"
    zsh_completion.install "pages/completions/_philote"
    fish_completion.install "pages/completions/philote.fish"

    inreplace "packaging/launchd/config.toml" do |s|
      s.gsub! "/usr/local/var/", "#{var}/"
      s.gsub! "/etc/philote/", "#{pkgetc}/"
      # It cannot raise the limit on open files either: 10240 is what macOS gives, max_pending and others among them.
      s.gsub! "max_connections = 10000", "max_connections = 9000"
      # brew cannot have launchd wait longer than it does by itself, which may be five seconds.
      s.gsub! '#drain_timeout = "20s"', 'drain_timeout = "4s"'
    end
    pkgetc.install "packaging/launchd/config.toml"
    doc.install "config.example.toml", "pages/THIRD-PARTY"
  end

  def post_install
    (var/"log/philote").mkpath
    (var/"run/philote").mkpath
    secret = pkgetc/"secret"
    return if secret.exist?

    # Made once. The digits are the secret, so that the same text can be given to an application.
    require "securerandom"
    File.open(secret, File::WRONLY | File::CREAT | File::EXCL, 0600) { |file| file.puts SecureRandom.hex(32) }
  end

  def caveats
    <<~EOS
      The secret that tokens are signed with was made at the first installation:
        #{pkgetc}/secret
      `philote token` signs with it. Your application needs the same text; keep it to yourself.

      The configuration is #{pkgetc}/config.toml, the log #{var}/log/philote/philote.log.
      `philote check` tests a changed configuration, `philote reload` puts it in force.
    EOS
  end

  # brew has no word for limits on open files: philote raises its soft limit by itself. Its log goes where the
  # configuration says, since what launchd redirects cannot be rotated; what is told before that stands in stderr.log.
  service do
    run [opt_bin/"philote", "serve"]
    keep_alive crashed: true, successful_exit: false
    process_type :interactive
    error_log_path var/"log/philote/stderr.log"
  end

  test do
    secret = testpath/"secret"
    secret.write "#{"5ec2e7" * 10}\n"
    secret.chmod 0600
    port = free_port
    (testpath/"config.toml").write <<~TOML
      listen = ["127.0.0.1:#{port}"]
      auth.secret_file = "#{secret}"
    TOML
    ENV["PHILOTE_CONFIG"] = (testpath/"config.toml").to_s

    # Each says in a line of its own when it is ready.
    server = IO.popen([(bin/"philote").to_s, "serve"], err: [:child, :out])
    begin
      assert(server.each_line.any? { |line| line.include?("event=ready") })
      assert_equal "ready", shell_output("#{bin}/philote health").strip

      subscribe = [(bin/"philote").to_s, "subscribe", "--verbose", "--count", "1", "news"]
      subscriber = IO.popen(subscribe, err: [:child, :out])
      assert(subscriber.each_line.any? { |line| line.start_with?("connected") })
      system bin/"philote", "publish", "news", "Hello from brew"
      assert_equal "Hello from brew", subscriber.readline.chomp
      subscriber.close
    ensure
      Process.kill "TERM", server.pid
      server.close
    end
    assert_match version.to_s, shell_output("#{bin}/philote --version --verbose")
    assert_match "configuration: #{pkgetc}/config.toml", shell_output("#{bin}/philote --version --verbose")
  end
end
