package server_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn/ftptest/server"
)

func TestLogin(t *testing.T) {
	_, addr := start(t, server.Config{})
	c := dial(t, addr)
	for _, step := range [][2]string{
		{"PWD", "530 Please login with USER and PASS"},
		{"SYST", "215 UNIX Type: L8"},
		{"PASS p", "503 Login with USER first"},
		{"USER u", "331 Password required for u"},
		{"PASS wrong", "530 Login incorrect."},
		{"USER nobody", "331 Password required for nobody"},
		{"PASS ", "530 Login incorrect."},
		{"USER anonymous", "331 Password required for anonymous"},
		{"PASS x", "530 Login incorrect."},
		{"LIST", "530 Please login with USER and PASS"},
		{"user u", "331 Password required for u"},
		{"pass p", "230 User u logged in"},
		{"PASS p", "503 You are already logged in"},
		{"ACCT x", "502 ACCT command not implemented"},
		{"AUTH TLS", "500 AUTH not understood"},
		{"SIZE f", "550 SIZE not allowed in ASCII mode"},
		{"TYPE X", "504 TYPE not implemented for 'X' parameter"},
		{"MODE S", "200 Mode set to S"},
		{"MODE Z", "504 'MODE Z' unsupported transfer mode"},
		{"STRU F", "200 Structure set to F"},
		{"ALLO 100", "202 No storage allocation necessary"},
		{"NOOP", "200 NOOP command successful"},
		{"OPTS UTF8 ON", "200 UTF8 set to on"},
		{"OPTS MLST Type;size;bogus;", "200 MLST OPTS size;type;"},
		{"FEAT", "211 Features:\n EPRT\n EPSV\n MDTM\n MFMT\n MLST modify;perm;size*;type*;unique;UNIX.group;UNIX.mode;UNIX.owner;\n REST STREAM\n SITE COPY\n SITE SYMLINK\n SITE UTIME\n SIZE\n TVFS\n UTF8\nEnd"},
		{"SITE HELP", "214 The following SITE commands are recognized\n CPFR <sp> pathname\n CPTO <sp> pathname\n UTIME\n SYMLINK\n HELP\n CHMOD\nEnd of help"},
		{"HELP zz", "502 Unknown command 'ZZ'"},
		{"HELP retr", "214 Syntax: RETR"},
		{"", "500  not understood"},
		{"QUIT", "221 Goodbye."},
	} {
		c.cmd(step[0], step[1])
	}
	if _, _, err := c.text.ReadResponse(0); err == nil {
		t.Error("the session goes on after QUIT")
	}
}

func TestAnonymous(t *testing.T) {
	s, err := server.Listen("127.0.0.1:0", server.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := dial(t, s.Addr().String())
	c.cmd("USER u", "331 Password required for u")
	c.cmd("PASS p", "530 Login incorrect.")
	c.cmd("USER anonymous", "331 Anonymous login ok, send your complete email address as your password")
	c.cmd("PASS", "230 Anonymous access granted, restrictions apply")
	c.cmd("PWD", `257 "/" is the current directory`)
}

// The texts are those that ProFTPD 1.3.8 gave to the same commands.
func TestFileCommands(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"f": "hello", "g": "", "d/sub/": "", "empty/": "", "-x": "dash", " lead": "12"})
	symlink(t, "f", filepath.Join(root, "link"))
	symlink(t, "d", filepath.Join(root, "dlink"))
	symlink(t, "loop", filepath.Join(root, "loop"))
	c := login(t, addr)
	for _, step := range [][2]string{
		{"CWD d", "250 CWD command successful"},
		{"CWD sub", "250 CWD command successful"},
		{"PWD", `257 "/d/sub" is the current directory`},
		{"CDUP", "250 CDUP command successful"},
		{"CWD ../../..", "250 CWD command successful"},
		{"PWD", `257 "/" is the current directory`},
		{"CWD nope", "550 nope: No such file or directory"},
		{"CWD f", "550 f: Not a directory"},
		{"CWD loop", "550 loop: Too many levels of symbolic links"},
		{"CWD", "501 Invalid number of parameters"},
		{"MKD q\"y", `257 "/q""y" - Directory successfully created`},
		{"CWD q\"y", "250 CWD command successful"},
		{"PWD", `257 "/q""y" is the current directory`},
		{"CWD /", "250 CWD command successful"},
		{"MKD d", "550 d: File exists"},
		{"MKD nope/x", "550 nope/x: No such file or directory"},
		{"MKD " + strings.Repeat("n", 256), "550 " + strings.Repeat("n", 256) + ": File name too long"},
		{"RMD /q\"y", "250 RMD command successful"},
		{"RMD d", "550 d: Directory not empty"},
		{"RMD f", "550 f: Not a directory"},
		{"RMD dlink", "550 dlink: Not a directory"},
		{"RMD nope", "550 nope: No such file or directory"},
		{"DELE nope", "550 nope: No such file or directory"},
		{"DELE empty", "550 empty: Is a directory"},
		{"SIZE f", "213 5"},
		{"SIZE -x", "213 4"},
		{"SIZE  lead", "213 2"},
		{"SIZE link", "213 5"},
		{"SIZE d", "550 d: not a regular file"},
		{"SIZE nope", "550 nope: No such file or directory"},
		{"SIZE a\x00b", "550 a\x00b: Invalid argument"},
		{"MFMT 20200102030405 f", "213 Modify=20200102030405; f"},
		{"MDTM f", "213 20200102030405"},
		{"MDTM link", "213 20200102030405"},
		{"MDTM d", "550 d: not a plain file"},
		{"MFMT 2020 f", "501 2020: Invalid argument"},
		{"MFMT 20200102030405", "501 Invalid number of parameters"},
		{"MFMT 20200102030405 nope", "550 nope: No such file or directory"},
		{"SITE CHMOD 4750 f", "200 SITE CHMOD command successful"},
		{"SITE CHMOD 999 f", "550 '999': invalid mode"},
		{"SITE CHMOD 600 nope", "550 nope: No such file or directory"},
		{"SITE UTIME f 20200101000000 20200102030405 20200101000000 UTC", "200 SITE UTIME command successful"},
		{"MDTM f", "213 20200102030405"},
		{"SITE UTIME nope 20200101000000 20200102030405 20200101000000 UTC", "550 nope: No such file or directory"},
		{"SITE UTIME f", "500 'SITE UTIME' not understood"},
		{"SITE SYMLINK f newlink", "200 SITE SYMLINK command successful"},
		{"SITE SYMLINK nope newlink2", "550 SYMLINK nope newlink2: No such file or directory"},
		{"SITE SYMLINK f", "500 'SITE SYMLINK' not understood"},
		{"SITE CPTO g2", "503 Bad sequence of commands"},
		{"SITE CPFR nope", "550 nope: No such file or directory"},
		{"SITE CPFR f", "350 File or directory exists, ready for destination name"},
		{"SITE CPTO a copy", "250 Copy successful"},
		{"SIZE a copy", "213 5"},
		{"DELE newlink", "250 DELE command successful"},
		{"SITE ZZZ", "500 'SITE ZZZ' not understood"},
		{"RNTO x", "503 Bad sequence of commands"},
		{"RNFR nope", "550 nope: No such file or directory"},
		{"RNTO x", "503 Bad sequence of commands"},
		{"RNFR loop", "350 File or directory exists, ready for destination name"},
		{"NOOP", "200 NOOP command successful"},
		{"RNTO d/loop", "250 Rename successful"},
		{"RNFR g", "350 File or directory exists, ready for destination name"},
		{"RNTO f", "250 Rename successful"},
		{"SIZE f", "213 0"},
		{"RNFR f", "350 File or directory exists, ready for destination name"},
		{"RNTO d", "550 d: Operation not permitted"},
		{"RNFR d", "350 File or directory exists, ready for destination name"},
		{"RNTO f", "550 f: Not a directory"},
		{"RNFR d", "350 File or directory exists, ready for destination name"},
		{"RNTO d/sub", "550 d/sub: Invalid argument"},
		{"RNFR empty", "350 File or directory exists, ready for destination name"},
		{"RNTO d", "550 d: Directory not empty"},
		{"RNFR d", "350 File or directory exists, ready for destination name"},
		{"RNTO empty", "250 Rename successful"},
		{"RNFR f", "350 File or directory exists, ready for destination name"},
		{"RNTO nope/x", "550 nope/x: No such file or directory"},
		{"DELE link", "250 DELE command successful"},
		{"DELE f", "250 DELE command successful"},
		{"RMD /", "550 /: Invalid argument"},
	} {
		c.cmd(step[0], step[1])
	}
	if _, err := os.Lstat(filepath.Join(root, "empty/sub")); err != nil {
		t.Error(err)
	}
}

func TestChmod(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"f": ""})
	login(t, addr).cmd("SITE CHMOD 4751 f", "200 SITE CHMOD command successful")
	fi, err := os.Stat(filepath.Join(root, "f"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fi.Mode(), 0o751|os.ModeSetuid; got != want {
		t.Errorf("mode %v, want %v", got, want)
	}
}

// TestOutside tries the ways out of the root.
func TestOutside(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, map[string]string{"secret": "secret", "root/f": "x"})
	root := filepath.Join(dir, "root")
	symlink(t, "../secret", filepath.Join(root, "relative"))
	symlink(t, filepath.Join(dir, "secret"), filepath.Join(root, "absolute"))
	symlink(t, "..", filepath.Join(root, "up"))
	_, addr := start(t, server.Config{Root: root})
	c := login(t, addr)
	for _, line := range []string{
		"SIZE relative", "SIZE absolute", "SIZE up/secret", "CWD up", "DELE up/secret",
		"MKD up/x", "RMD up/root", "RNFR up/secret", "MLSD up", "SITE CHMOD 777 relative", "MFMT 20200101000000 relative",
	} {
		_, arg, _ := strings.Cut(line, " ")
		f := strings.Fields(arg)
		c.cmd(line, "550 "+f[len(f)-1]+": Permission denied")
	}
	c.cmd("SIZE ../secret", "550 ../secret: No such file or directory")
	if _, final := c.get("RETR relative"); final != "550 relative: Permission denied" {
		t.Error(final)
	}
	if final := c.put("STOR relative", "overwritten"); final != "550 relative: Permission denied" {
		t.Error(final)
	}
	c.cmd("RNFR f", "350 File or directory exists, ready for destination name")
	c.cmd("RNTO up/stolen", "550 up/stolen: Permission denied")
	if got := content(t, filepath.Join(dir, "secret")); got != "secret" {
		t.Errorf("secret is now %q", got)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if diff := cmp.Diff([]string{root, filepath.Join(dir, "secret")}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestReadOnly(t *testing.T) {
	root, addr := start(t, server.Config{ReadOnly: true})
	tree(t, root, map[string]string{"f": "x", "d/": ""})
	c := login(t, addr)
	for _, line := range []string{"DELE f", "RMD d", "MKD e", "RNFR f", "STOR g", "APPE f", "SITE CHMOD 600 f"} {
		f := strings.Fields(line)
		c.cmd(line, "550 "+f[len(f)-1]+": Read-only file system")
	}
	c.cmd("MFMT 20200101000000 f", "550 20200101000000 f: Read-only file system")
	c.cmd("OPTS MLST perm;", "200 MLST OPTS perm;")
	c.cmd("MLST f", "250 Start of list for f\n perm=r; /f\nEnd of list")
	if got, final := c.get("RETR f"); got != "x" {
		t.Error(got, final)
	}
}

func TestCommandLines(t *testing.T) {
	_, addr := start(t, server.Config{})
	c := login(t, addr)
	c.cmd("SIZE "+strings.Repeat("x", 10000), "500 Command line too long")
	c.cmd("\xff\xf4\xff\xf2ABOR", "226 Abort successful")
	c.send("NOOP\nPWD\r\nXYZ\r\nMKD a\r\nRMD a\r\nNOOP\r\n") // in one packet
	for _, want := range []string{
		"200 NOOP command successful", `257 "/" is the current directory`, "500 XYZ not understood",
		`257 "/a" - Directory successfully created`, "250 RMD command successful", "200 NOOP command successful",
	} {
		c.expect(want)
	}
}

func TestHooks(t *testing.T) {
	type call struct {
		Session   int
		Verb, Arg string
	}
	calls := make(chan call, 10)
	_, addr := start(t, server.Config{Hooks: server.Hooks{
		OnCommand: func(session int, verb, arg string) *server.Reply {
			calls <- call{session, verb, arg}
			switch verb {
			case "MKD":
				return &server.Reply{Code: 550, Text: "No"}
			case "QUIT":
				return &server.Reply{Close: true}
			}
			return nil
		},
		OnReply: func(_ int, verb, _ string, r server.Reply) server.Reply {
			if verb == "PWD" {
				r.Text = "changed"
			}
			return r
		},
	}})
	c := dial(t, addr)
	c.cmd("USER u", "331 Password required for u")
	c.cmd("PASS p", "230 User u logged in")
	c.cmd("pwd", "257 changed")
	c.cmd("MKD a b", "550 No")
	c.send("QUIT\r\n")
	if _, _, err := c.text.ReadResponse(0); err == nil {
		t.Error("a reply came with code 0")
	}
	want := []call{{1, "USER", "u"}, {1, "PASS", "p"}, {1, "PWD", ""}, {1, "MKD", "a b"}, {1, "QUIT", ""}}
	var got []call
	for range want {
		got = append(got, <-calls)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestClose ends the server while sessions idle, and while one uploads and one
// downloads.
func TestClose(t *testing.T) {
	root := t.TempDir()
	tree(t, root, map[string]string{"big": strings.Repeat("x", 16<<20)})
	s, err := server.Listen("127.0.0.1:0", server.Config{Root: root, Users: map[string]string{"u": "p"}})
	if err != nil {
		t.Fatal(err)
	}
	addr := s.Addr().String()
	idle, up, down, waiting := login(t, addr), login(t, addr), login(t, addr), login(t, addr)
	du, dd := up.data(), down.data()
	up.cmd("STOR f", "150 Opening BINARY mode data connection for f")
	down.cmd("RETR big", "150 Opening BINARY mode data connection for big (16777216 bytes)")
	waiting.send("EPSV\r\n")
	waiting.read()
	waiting.send("RETR big\r\n") // and nobody connects
	if n := s.Sessions(); n != 4 {
		t.Errorf("%d sessions, want 4", n)
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	if err := s.Close(); err != nil {
		t.Error("second Close:", err)
	}
	if _, _, err := idle.text.ReadResponse(0); err == nil {
		t.Error("the idle session lives")
	}
	du.Close()
	dd.Close()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the server still listens")
	}
}
