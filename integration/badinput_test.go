//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Exit codes, as in ftpfs --help.
const (
	exitFailure = 1 // the mount, or anything else
	exitUsage   = 2
	exitConnect = 3 // the server cannot be reached or refuses the login
)

// badInput is a way to call ftpfs that must fail.
type badInput struct {
	name  string
	args  func(t *testing.T, dir string) []string
	code  int
	words []string // in the one line that says why
}

// TestBadInput: whatever is wrong is said in one line, with the right exit
// code, within seconds, by the detached form and in the foreground, and
// nothing is left mounted or running.
func TestBadInput(t *testing.T) {
	s, other := startServer(t, vsftpd), startServer(t, proftpd)
	pw := passwordFile(t, ftpPassword)
	for _, b := range slices.Concat(badInputs(t, s, pw), badFolders(t, s, pw), badFolders(t, other, pw)) {
		for _, form := range []string{"detached", "foreground"} {
			t.Run(b.name+"/"+form, func(t *testing.T) {
				dir := mountpoint(t)
				args := b.args(t, dir)
				if form == "foreground" {
					args = append([]string{"--foreground"}, args...)
				}
				before := mountsBelow(the.dir)
				o := ftpfs(t, nil, args...)
				checkRefusal(t, o, b.code, b.words)
				equal(t, "mounts", len(mountsBelow(the.dir)), len(before))
			})
		}
	}
	eventually(t, 5*time.Second, func() error {
		if n, left := s.Sessions()+other.Sessions(), processesOf(the.binary); n > 0 || len(left) > 0 {
			return fmt.Errorf("%d sessions, processes %v left", n, left)
		}
		return nil
	})
}

// checkRefusal wants the one line on stderr beside what the log, which is
// there in the foreground, tells of the connection.
func checkRefusal(t *testing.T, o outcome, code int, words []string) {
	t.Helper()
	equal(t, "exit code", o.Code, code)
	lines := slices.DeleteFunc(strings.Split(strings.TrimSuffix(o.Stderr, "\n"), "\n"), func(l string) bool {
		return strings.HasPrefix(l, "time=") && strings.Contains(l, "level=INFO")
	})
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "ftpfs: ") || o.Stdout != "" {
		t.Errorf("not one line on stderr: %q, stdout: %q", o.Stderr, o.Stdout)
	}
	for _, w := range words {
		if !strings.Contains(o.Stderr, w) {
			t.Errorf("%q does not say %q", o.Stderr, w)
		}
	}
	if strings.Contains(o.Stderr, ftpPassword) || strings.Contains(o.Stderr, escapedPassword) {
		t.Errorf("the password is in %q", o.Stderr)
	}
	if o.Took > 15*time.Second {
		t.Errorf("took %v", o.Took)
	}
}

func badInputs(t *testing.T, s *server, pw string) []badInput {
	// url is for those where only the URL is wrong, at for those where only
	// the mountpoint is, flags for those where only a flag is.
	url := func(url string) func(*testing.T, string) []string {
		return func(t *testing.T, dir string) []string {
			return []string{"--timeout=3s", "--password-file", pw, url, dir}
		}
	}
	at := func(change func(t *testing.T, dir string) string) func(*testing.T, string) []string {
		return func(t *testing.T, dir string) []string {
			return []string{"--password-file", pw, s.URL("/"), change(t, dir)}
		}
	}
	flags := func(f ...string) func(*testing.T, string) []string {
		return func(t *testing.T, dir string) []string { return append(f, s.URL("/"), dir) }
	}
	flagged := func(flag, url string) func(*testing.T, string) []string {
		return func(t *testing.T, dir string) []string { return []string{"--password-file", pw, flag, url, dir} }
	}
	secret := tlsOnly(t)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	return []badInput{
		{"unknown-scheme", url("gopher://" + s.Addr()), exitUsage, []string{"scheme"}},
		{"no-host", url("ftp:///dir"), exitUsage, []string{"host"}},
		{"unknown-flag", flags("--frobnicate"), exitUsage, []string{"frobnicate"}},
		{"unknown-option", flags("-o", "ro,frobnicate=1"), exitUsage, []string{"frobnicate"}},
		{"bad-umask", flags("--umask=999"), exitUsage, []string{"umask", "999"}},
		{"bad-number", flags("-o", "max-connections=many"), exitUsage, []string{"many"}},
		{"one-argument", func(t *testing.T, dir string) []string { return []string{s.URL("/")} }, exitUsage, nil},
		{"three-arguments", func(t *testing.T, dir string) []string { return []string{s.URL("/"), dir, dir} }, exitUsage, nil},
		{"unknown-host", url("ftp://tester@no-such-host.invalid/"), exitConnect, []string{"no-such-host.invalid"}},
		{"closed-port", url(fmt.Sprintf("ftp://tester@127.0.0.1:%d/", freePort(t))), exitConnect, []string{"127.0.0.1"}},
		{"wrong-password", flags("--password-file", passwordFile(t, "wrong")), exitConnect, []string{"password", "530"}},
		{"unknown-user", url(strings.Replace(s.URL("/"), ftpUser, "nobody-here", 1)), exitConnect, []string{"nobody-here"}},
		{"no-password", flags(), exitConnect, []string{"password"}},
		{"not-ftp", url("ftp://tester@" + scripted(t, "SSH-2.0-OpenSSH_9.2\r\n", nil)), exitConnect, []string{"FTP"}},
		{"silent", url("ftp://tester@" + scripted(t, "", nil)), exitConnect, []string{"time"}},
		{"full", url("ftp://tester@" + scripted(t, "421 There are too many connected users, please try later.\r\n", nil)), exitConnect, []string{"421"}},
		{"tls-demanded", flagged("--tls=off", "ftp://tester@"+secret.Addr()), exitConnect, []string{"TLS", "ftpes://"}},
		{"unknown-certificate", url("ftpes://tester@" + secret.Addr()), exitConnect, []string{"certificate", "sha256:", "--tls-pin"}},
		{"other-certificate", flagged("--tls-pin=sha256:"+strings.Repeat("00", 32), "ftp://tester@"+secret.Addr()), exitConnect, []string{"sha256:", "--tls-pin"}},
		{"no-tls", url("ftpes://tester@" + s.Addr()), exitConnect, []string{"offers no TLS", "530"}},
		{"no-tls-implicit", url("ftps://tester@" + s.Addr()), exitConnect, []string{"TLS"}},
		{"bad-pin", flags("--tls-pin=sha256:12"), exitUsage, []string{"--tls-pin"}},
		{"contradiction", flagged("--tls=off", "ftps://tester@"+s.Addr()), exitUsage, []string{"ftps://"}},
		{"no-authority", flags("--tls-ca", file), exitFailure, []string{"PEM"}},
		{"tls-demanded-550", url("ftp://tester@" + scripted(t, "220 hello\r\n", map[string]string{
			"AUTH": "502 Not implemented\r\n", "USER": "550 SSL/TLS required on the control channel\r\n"})), exitConnect, []string{"TLS"}},
		{"mountpoint-missing", at(func(t *testing.T, dir string) string { return dir + "/missing" }), exitFailure, []string{"missing", "exist"}},
		{"mountpoint-file", at(func(t *testing.T, dir string) string { return file }), exitFailure, []string{"directory"}},
		{"mountpoint-full", at(func(t *testing.T, dir string) string {
			must(t, os.WriteFile(dir+"/x", nil, 0o644))
			return dir
		}), exitFailure, []string{"not empty"}},
		{"mountpoint-busy", at(func(t *testing.T, dir string) string {
			must(t, syscall.Mount("busy", dir, "tmpfs", 0, ""))
			t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
			return dir
		}), exitFailure, []string{"busy"}},
		{"mountpoint-ours", at(func(t *testing.T, dir string) string { return mount(t, s).Dir }), exitFailure, []string{"busy", "umount"}},
		{"password-file-missing", flags("--password-file", "/nonexistent/password"), exitFailure, []string{"/nonexistent/password"}},
		{"password-file-folder", flags("--password-file", t.TempDir()), exitFailure, []string{"password file"}},
		{"cache-dir-file", flags("--password-file", pw, "--cache-dir", file), exitFailure, []string{file}},
	}
}

// badFolders are URLs of what cannot be mounted.
func badFolders(t *testing.T, s *server, pw string) []badInput {
	put(t, s.Served+"/file", []byte("x"))
	must(t, os.Mkdir(s.Served+"/closed", 0o700))
	url := func(path string) func(*testing.T, string) []string {
		return func(t *testing.T, dir string) []string {
			return []string{"--password-file", pw, s.URL(path), dir}
		}
	}
	return []badInput{
		{"missing-" + string(s.kind), url("/missing/dir"), exitFailure, []string{"/missing/dir"}},
		{"file-" + string(s.kind), url("/file"), exitFailure, []string{"/file", "not a directory"}},
		{"closed-" + string(s.kind), url("/closed"), exitFailure, []string{"/closed"}},
	}
}

// scripted serves one greeting to whoever connects, then the answer of the
// map to a command's verb; "" is silence. It returns its address.
func scripted(t *testing.T, greeting string, answers map[string]string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Write([]byte(greeting))
				for lines := bufio.NewScanner(c); lines.Scan(); {
					verb, _, _ := strings.Cut(lines.Text(), " ")
					if a, ok := answers[verb]; ok {
						c.Write([]byte(a))
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// tlsOnly starts a vsftpd that refuses to work in clear text, with a
// certificate that nobody knows.
func tlsOnly(t *testing.T) *server {
	t.Helper()
	return startServer(t, vsftpd, tlsConf(vsftpd, newAuthority(t).Sign(t, "unknown", nil), false)...)
}
