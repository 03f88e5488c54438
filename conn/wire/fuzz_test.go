package wire

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"ftpfs/conn"
)

// Whatever answers EPSV or PASV, its port can be dialled or is none.
func FuzzPassivePort(f *testing.F) {
	for _, in := range []string{
		"229 ok (|||6446|)", "229 (||||||)", "229 ()", "229 (|||99999|)", "227 ok (1,2,3,4,25,46)", "227 1,2,3,4,5,6,7", "227 ,,,,,", "227 (1,2,3,4,-1,46)",
	} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, err := newReplyReader(strings.NewReader(in + "\r\n")).Read()
		if err != nil {
			return
		}
		if host, port, err := passiveAddress(r); err == nil && (port < 1 || port > 65535 || host != "" && net.ParseIP(host) == nil) {
			t.Errorf("%s, port %d of %q", host, port, in)
		}
	})
}

// Each command gets the answer that the server gave to it, or none: whatever
// the server says, at most one command is answered by what belongs to another,
// and nobody is told so. said is what it says after each command, separated by
// NUL.
func FuzzOneReplyPerCommand(f *testing.F) {
	for _, in := range []string{
		"200 a\r\n\x00201 b\r\n\x00202 c\r\n",
		"200 a\r\n\x00201 b\r\n203 stray\r\n\x00202 c\r\n",
		"150 wait\r\n200 a\r\n\x00201-b\r\nb\r\n\r\n201 b\r\n\x00",
		"\x00200 late\r\n200 b\r\n\x00202 c\r\n",
		"200 a\r\n\x00421 bye\r\n\x00202 c\r\n",
		"200 a\r\n201 b\r\n202 c\r\n\x00\x00",
		"20",
		"200 a\r\n200 \x00\n", // begun before it was asked for
		"\r200 \n",            // a blank begin
		"200 a\r\n \r\n\x00201 b\r\n",
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		said := bytes.Split(in, []byte{0})
		synctest.Test(t, func(t *testing.T) { oneReplyEach(t, said[:min(len(said), 8)]) })
	})
}

func oneReplyEach(t *testing.T, said [][]byte) {
	here, there := net.Pipe()
	cfg := conn.Config{Host: "h", Port: 21, Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
	go func() {
		defer there.Close()
		io.WriteString(there, "220 hi\r\n")
		buf := make([]byte, 100)
		for _, text := range said {
			if _, err := there.Read(buf); err != nil {
				return
			}
			if _, err := there.Write(text); err != nil {
				return
			}
		}
		io.Copy(io.Discard, there)
	}()
	c, end, err := NewServer(cfg).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer end()
	if _, err := c.lib.next(); err != nil {
		t.Fatal(err)
	}
	inStep := true
	for i, text := range said {
		synctest.Wait() // all that the server said has been read
		r, err := c.Command("NOOP")
		if err != nil {
			if c.Err() == nil {
				t.Fatalf("command %d failed with %v, and the session goes on", i, err)
			}
			return
		}
		if !inStep {
			t.Fatalf("command %d was answered %v by a server that had said too much or too little", i, r)
		}
		want, final := finals(text)
		if final == 0 || r.Code != want.Code || r.Text() != want.Text() {
			t.Fatalf("command %d was answered %v, the server said %q", i, r, text)
		}
		inStep = final == 1
	}
}

// finals returns the first final reply of text, and how many there are; what
// is no reply, or a part of one, counts as another.
func finals(text []byte) (first Reply, n int) {
	for p := newReplyReader(bytes.NewReader(text)); ; {
		r, err := p.Read()
		switch {
		case err == io.EOF:
			return first, n
		case err != nil:
			return first, n + 1
		case r.Preliminary():
			if n > 0 {
				n++ // which nobody asked for
			}
			continue
		}
		if n++; n == 1 {
			first = r
		}
	}
}
