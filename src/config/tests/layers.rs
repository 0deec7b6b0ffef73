//! Layers.
use super::*;
#[test]
fn explore() {
    for text in [
        "[limits\nmax_connections = 0\n",
        "[auth]\nleeway = 5s\n",
        "[auth]\nleeway = 500ms\n",
        "[limits]\nmax_head_size = 64KiB\n",
        "[log]\nlevel = info\n",
        "[log]\nlevel = warn\n",
        "[log]\nlevel = trace\n",
        "[log]\nlevel = true\n",
        "[log]\noutput = /var/log\n",
        "[log]\noutput = 'a\n",
        "[auth]\nsecret = \"\\q\"\n",
        "[auth]\nsecret = \"\"\"abc\n\n",
        "listen = [\"a\",\nworkers = 3\n",
        "listen = 127.0.0.1:80\n",
        "listen = [127.0.0.1:80]\n",
        "workers: 3\n",
        "workers 3\n",
        "workers = 3 4\n",
        "workers = 0x\n",
        "workers = 1_0\n",
        "workers = 07\n",
        "[log]\nlevel = off\n",
        "[log]\nlevel = \"info\" # x\n",
        "[log]\nlevel = \u{201c}info\u{201d}\n",
        "[log]]\n",
        "[[log]\n",
        "= 3\n",
        "\"a\u{0}\" = 3",
        "\u{feff}workers=0",
        "workers = {",
        "workers = }",
        "a.b.c = 3\n[a]\n",
        "limits.max_pending = 0\nlimits = {max_pending=3}\n",
        "workers=0\r\n\r\nx=1\r\n",
        "\tworkers\t=\t0",
        "workers=99999999999999999999999999999999999999999\n",
        "workers=-1\n",
        "[control]\nmode = 600\n",
        "[control]\nmode = 0o1777\n",
        "[control]\nmode=\"600\"\n",
        "[limits]\nmax_head_size=-5\n",
    ] {
        eprintln!("=== {text:?}");
        match Fake::new().toml(text).load() {
            Ok(_) => eprintln!("OK"),
            Err(f) => eprintln!("{f}"),
        }
    }
}
