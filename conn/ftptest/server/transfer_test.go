package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jlaffaye/ftp"

	"ftpfs/conn/ftptest"
	"ftpfs/conn/ftptest/server"
)

const complete = "226 Transfer complete"

func TestTransfers(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"ten": "0123456789", "d/": ""})
	symlink(t, "nowhere", filepath.Join(root, "dangling"))
	symlink(t, "ten", filepath.Join(root, "link"))
	c := login(t, addr)
	get := func(line, want, final string) {
		t.Helper()
		if got, reply := c.get(line); got != want || reply != final {
			t.Errorf("%s: %q, %q, want %q, %q", line, got, reply, want, final)
		}
	}
	put := func(line, data, final string) {
		t.Helper()
		if reply := c.put(line, data); reply != final {
			t.Errorf("%s: %q, want %q", line, reply, final)
		}
	}
	rest := func(n int) {
		t.Helper()
		c.cmd(fmt.Sprint("REST ", n), fmt.Sprintf("350 Restarting at %d. Send STORE or RETRIEVE to initiate transfer", n))
	}
	get("RETR ten", "0123456789", complete)
	get("RETR link", "0123456789", complete)
	rest(4)
	c.cmd("NOOP", "200 NOOP command successful")
	get("RETR ten", "456789", complete)
	get("RETR ten", "0123456789", complete) // REST holds once
	rest(10)
	get("RETR ten", "", complete)
	rest(11)
	get("RETR ten", "", "554 REST: invalid ten argument")
	get("RETR nope", "", "550 nope: No such file or directory")
	get("RETR d", "", "550 d: Not a regular file")
	get("RETR dangling", "", "550 dangling: Not a regular file")

	put("STOR n", "long content", complete)
	put("STOR n", "xyzt", complete)
	rest(2)
	put("STOR n", "Q", complete)
	get("RETR n", "xyQt", complete)
	put("APPE n", "++", complete)
	get("RETR n", "xyQt++", complete)
	put("APPE created", "a", complete)
	put("STOR empty", "", complete)
	get("RETR empty", "", complete)
	rest(100)
	put("STOR n", "Q", "554 REST: invalid n argument")
	rest(1)
	put("STOR absent", "Q", "554 REST: invalid absent argument")
	put("STOR nope/x", "Q", "550 nope/x: No such file or directory")
	put("STOR d", "Q", "550 d: Not a regular file")
	put("STOR link", "through", complete)
	if got := content(t, filepath.Join(root, "ten")); got != "through" {
		t.Errorf("ten is %q", got)
	}
	c.cmd("REST x", "501 REST requires a value greater than or equal to 0")
	c.cmd("REST -1", "501 REST requires a value greater than or equal to 0")
	c.cmd("RETR ten", "425 Unable to build data connection: Connection refused")
	c.cmd("STOR ten", "425 Unable to build data connection: Connection refused")
	if got := content(t, filepath.Join(root, "ten")); got != "through" {
		t.Errorf("after a 425 ten is %q", got)
	}
}

// A refused transfer uses up its data connection, as with ProFTPD.
func TestRefusedTransferClosesData(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"f": "x"})
	c := login(t, addr)
	d := c.data()
	c.cmd("RETR nope", "550 nope: No such file or directory")
	if n, err := d.Read(make([]byte, 1)); err == nil {
		t.Error("read", n)
	}
	c.cmd("RETR f", "425 Unable to build data connection: Connection refused")
}

func TestBrokenData(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"big": strings.Repeat("x", 16<<20)})
	c := login(t, addr)

	d := c.data()
	c.cmd("STOR cut", "150 Opening BINARY mode data connection for cut")
	if _, err := d.Write(bytes.Repeat([]byte("z"), 1000)); err != nil {
		t.Fatal(err)
	}
	if err := d.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	d.Close()
	c.expect("426 Transfer aborted. Data connection closed")

	d = c.data()
	c.cmd("RETR big", "150 Opening BINARY mode data connection for big (16777216 bytes)")
	if _, err := io.ReadFull(d, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	d.Close()
	c.expect("426 Transfer aborted. Data connection closed")
	c.cmd("NOOP", "200 NOOP command successful")
}

func TestAbort(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"big": strings.Repeat("x", 16<<20)})
	c := login(t, addr)
	for _, line := range []string{"RETR big", "STOR up"} {
		c.data()
		c.send(line + "\r\n")
		if r := c.read(); !strings.HasPrefix(r, "150 ") {
			t.Fatal(r)
		}
		c.send("NOOP\r\nABOR\r\nPWD\r\n")
		c.expect("426 Transfer aborted. Data connection closed")
		c.expect("200 NOOP command successful")
		c.expect("226 Abort successful")
		c.expect(`257 "/" is the current directory`)
	}
	c.send("EPSV\r\n")
	c.read()
	c.send("RETR big\r\nABOR\r\n") // before there is a data connection
	c.expect("425 Unable to build data connection: Connection refused")
	c.expect("226 Abort successful")
}

// Commands behind a transfer wait for its end; the 226 waits for our FIN.
func TestPipelining(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"f": "hello"})
	c := login(t, addr)
	d := c.data()
	c.send("REST 1\r\nRETR f\r\nSIZE f\r\nEPSV\r\n")
	c.expect("350 Restarting at 1. Send STORE or RETRIEVE to initiate transfer")
	c.expect("150 Opening BINARY mode data connection for f (4 bytes)")
	if b, err := io.ReadAll(d); string(b) != "ello" || err != nil {
		t.Error(string(b), err)
	}
	d.Close()
	c.expect(complete)
	c.expect("213 5")
	if r := c.read(); !strings.HasPrefix(r, "229 ") {
		t.Error(r)
	}
	d = c.data()
	c.send("STOR g\r\nSIZE g\r\n")
	c.expect("150 Opening BINARY mode data connection for g")
	if _, err := io.WriteString(d, "abc"); err != nil {
		t.Fatal(err)
	}
	d.Close()
	c.expect(complete)
	c.expect("213 3")
}

// A stranger who finds the port first is turned away.
func TestDataFromStranger(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"f": "hello"})
	c := login(t, addr)
	thief := c.dialData("127.0.0.2")
	d := c.connect(thief.RemoteAddr().String(), "")
	c.cmd("RETR f", "150 Opening BINARY mode data connection for f (5 bytes)")
	if b, _ := io.ReadAll(thief); len(b) > 0 {
		t.Errorf("the stranger got %q", b)
	}
	if b, err := io.ReadAll(d); string(b) != "hello" || err != nil {
		t.Error(string(b), err)
	}
	d.Close()
	c.expect(complete)
}

func TestActive(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"f": "hello"})
	c := login(t, addr)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for _, line := range []string{
		fmt.Sprintf("EPRT |1|127.0.0.1|%d|", port),
		fmt.Sprintf("PORT 127,0,0,1,%d,%d", port>>8, port&255),
	} {
		c.cmd(line, "200 "+line[:4]+" command successful")
		c.send("RETR f\r\n")
		d, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.expect("150 Opening BINARY mode data connection for f (5 bytes)")
		if b, err := io.ReadAll(d); string(b) != "hello" || err != nil {
			t.Error(string(b), err)
		}
		d.Close()
		c.expect(complete)
	}
	for _, step := range [][2]string{
		{"PORT 127,0,0,2,200,1", "500 Illegal PORT command"},
		{"PORT 127,0,0,1,0,25", "500 Illegal PORT command"},
		{"PORT 1,2,3", "501 Illegal PORT command"},
		{"PORT 127,0,0,1,300,1", "501 Illegal PORT command"},
		{"EPRT |1|192.0.2.1|5000|", "500 Illegal EPRT command"},
		{"EPRT |3|127.0.0.1|5000|", "522 Network protocol not supported, use (1,2)"},
		{"EPRT x", "522 Network protocol not supported, use (1,2)"},
		{"EPSV 9", "522 Network protocol not supported, use (1,2)"},
		{"EPSV ALL", "200 EPSV ALL command successful"},
		{"PASV", "500 Illegal PASV command, EPSV ALL in effect"},
		{"PORT 127,0,0,1,200,1", "500 Illegal PORT command, EPSV ALL in effect"},
	} {
		c.cmd(step[0], step[1])
	}
}

// TestLibrary drives the server with the library that the product uses.
func TestLibrary(t *testing.T) {
	root, addr := start(t, server.Config{})
	c, err := ftp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Login("u", "p"))
	must(c.MakeDir("d"))
	must(c.Stor("d/f", strings.NewReader("hello")))
	must(c.Append("d/f", strings.NewReader(" there")))
	must(c.StorFrom("d/f", strings.NewReader("T"), 6))
	must(c.Rename("d/f", "d/g"))
	at := time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC)
	must(c.SetTime("d/g", at))
	if got := content(t, filepath.Join(root, "d/g")); got != "hello There" {
		t.Errorf("stored %q", got)
	}
	entries, err := c.List("d")
	must(err)
	want := []*ftp.Entry{
		{Name: ".", Type: ftp.EntryTypeFolder, Time: entries[0].Time},
		{Name: "..", Type: ftp.EntryTypeFolder, Time: entries[1].Time},
		{Name: "g", Type: ftp.EntryTypeFile, Size: 11, Time: at},
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Error(diff)
	}
	r, err := c.RetrFrom("d/g", 6)
	must(err)
	b, err := io.ReadAll(r)
	must(err)
	must(r.Close())
	if string(b) != "There" {
		t.Errorf("retrieved %q", b)
	}
	if err := c.RemoveDir("d"); !isReply(err, 550) {
		t.Error("removed a directory with a file:", err)
	}
	must(c.Delete("d/g"))
	must(c.RemoveDir("d"))
	must(c.Quit())
}

func isReply(err error, code int) bool {
	var e *textproto.Error
	return errors.As(err, &e) && e.Code == code
}

func TestIPv6(t *testing.T) {
	n := ftptest.NewNetwork(0)
	s, err := server.Listen("[::1]:0", server.Config{Root: t.TempDir(), Listen: n.Listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := ftp.Dial(s.Addr().String(), ftp.DialWithDialFunc(func(network, address string) (net.Conn, error) {
		return n.Dial(t.Context(), network, address)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login("anonymous", "x"); err != nil {
		t.Fatal(err)
	}
	if err := c.Stor("f", strings.NewReader("abc")); err != nil {
		t.Error(err)
	}
	if n, err := c.FileSize("f"); n != 3 || err != nil {
		t.Error(n, err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}
