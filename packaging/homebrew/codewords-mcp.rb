# For a tap: `brew install codewords-mcp/tap/codewords-mcp`, once a release is there. `scripts/package` fills version and hash in.
class CodewordsMcp < Formula
  desc "CodeWords workflows as an MCP server with a sandboxed runtime (unofficial)"
  homepage "https://github.com/codewords-mcp/codewords-mcp"
  url "https://github.com/codewords-mcp/codewords-mcp/releases/download/v@VERSION@/codewords_mcp-@VERSION@-py3-none-any.whl"
  sha256 "@SHA256@"
  license "MIT"

  depends_on "python@3.13"
  depends_on "uv"

  def install
    # The wheel alone is ours; what it depends on comes from the package index, as with pip.
    system "uv", "venv", "--python", Formula["python@3.13"].opt_bin/"python3.13", libexec
    system "uv", "pip", "install", "--python", libexec/"bin/python", Dir["*.whl"].first
    bin.install_symlink libexec/"bin/codewords-mcp", libexec/"bin/codewords"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/codewords-mcp --version")
  end
end
