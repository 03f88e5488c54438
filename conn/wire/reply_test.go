package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn"
)

var replyTests = []struct {
	name string
	in   string
	want []Reply
}{
	{"single", "220 ProFTPD\r\n", []Reply{{220, []string{"ProFTPD"}}}},
	{"no text", "200\r\n200 \r\n", []Reply{{200, []string{""}}, {200, []string{""}}}},
	{"bare LF", "220 hi\n331 pass\n", []Reply{{220, []string{"hi"}}, {331, []string{"pass"}}}},
	{"multi-line", "220-a\r\n220-b\r\n220 c\r\n", []Reply{{220, []string{"a", "b", "c"}}}},
	{"text lines of any form", "214-help\r\n  one\r\n2140 is no code\r\n500 nor this\r\n214 end\r\n", []Reply{{214, []string{"help", "  one", "2140 is no code", "500 nor this", "end"}}}},
	{"RFC 959's example", "123-First line\r\nSecond line\r\n  234 A line beginning with numbers\r\n123 The last line\r\n",
		[]Reply{{123, []string{"First line", "Second line", "  234 A line beginning with numbers", "The last line"}}}},
	{"FEAT with 211-", "211-Features:\r\n211-MDTM\r\n211- SIZE\r\n211 End\r\n", []Reply{{211, []string{"Features:", "MDTM", " SIZE", "End"}}}},
	{"goftp.io's blank line", "211-Extensions supported:\r\n MLST\r\n\r\n211 End\r\n", []Reply{{211, []string{"Extensions supported:", " MLST", "End"}}}},
	{"blank lines between replies", "\r\n\r\n200 ok\r\n\r\n200 ok\r\n", []Reply{{200, []string{"ok"}}, {200, []string{"ok"}}}},
	{"lines of white space between replies", " \r\n200 ok\r\n\t \r\n\r200 ok\r\n \r\n", []Reply{{200, []string{"ok"}}, {200, []string{"ok"}}}},
	{"another code at the end", "226-sizes\r\n250 done\r\n", []Reply{{250, []string{"sizes", "done"}}}},
	{"name with a space in front", "250-Listing\r\n type=file; 250 x\r\n250 End\r\n", []Reply{{250, []string{"Listing", " type=file; 250 x", "End"}}}},
}

func TestReplies(t *testing.T) {
	for _, tt := range replyTests {
		for how, r := range map[string]io.Reader{"whole": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in))} {
			t.Run(tt.name+"/"+how, func(t *testing.T) {
				p := newReplyReader(r)
				for _, want := range tt.want {
					got, err := p.Read()
					if err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Error(d)
					}
				}
				if got, err := p.Read(); err != io.EOF {
					t.Errorf("after the last reply: %v, %v, want EOF", got, err)
				}
			})
		}
	}
}

// A connection that ends within a reply, at any byte, never yields that reply.
func TestReplyCutAnywhere(t *testing.T) {
	for _, tt := range replyTests {
		for n := range len(tt.in) {
			p := newReplyReader(strings.NewReader(tt.in[:n]))
			for i := 0; ; i++ {
				got, err := p.Read()
				if err == nil {
					if d := cmp.Diff(tt.want[i], got); d != "" {
						t.Errorf("%s, cut at %d: %s", tt.name, n, d)
					}
					continue
				}
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s, cut at %d: %v", tt.name, n, err)
				}
				break
			}
		}
	}
}

func TestNoReplies(t *testing.T) {
	for name, in := range map[string]string{
		"another protocol":      "SSH-2.0-OpenSSH_9.2\r\n",
		"code out of range":     "620 what\r\n",
		"code too small":        "099 what\r\n",
		"no separator":          "220x\r\n",
		"an endless line":       "220 " + strings.Repeat("a", maxLine) + "\r\n",
		"an endless line, open": strings.Repeat("2", 2*maxLine),
		"an endless reply":      "220-a\r\n" + strings.Repeat(strings.Repeat("a", maxLine-10)+"\r\n", 17),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newReplyReader(strings.NewReader(in)).Read()
			if !errors.Is(err, conn.ErrProtocol) {
				t.Errorf("%v, %v, want ErrProtocol", r.Code, err)
			}
		})
	}
	long := "220 " + strings.Repeat("a", maxLine-4)
	if r, err := newReplyReader(strings.NewReader(long + "\r\n")).Read(); err != nil || len(r.Lines[0]) != maxLine-4 {
		t.Errorf("a line of 64 KiB: %d bytes, %v", len(r.Lines[0]), err)
	}
}

// What is handed to the library must be one reply to net/textproto too,
// whatever a server makes of it.
func FuzzReply(f *testing.F) {
	for _, tt := range replyTests {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p := newReplyReader(bytes.NewReader(in))
		for {
			r, err := p.Read()
			if err != nil {
				return
			}
			if r.Code < 100 || r.Code > 599 || len(r.Lines) == 0 {
				t.Fatalf("reply %v of %q", r, in)
			}
			if strings.ContainsAny(r.Text(), "\n") {
				t.Fatalf("more than one line: %q", r.Text())
			}
			lib := textproto.NewReader(bufio.NewReader(bytes.NewReader(r.wire())))
			code, _, err := lib.ReadResponse(0)
			if err != nil || code != r.Code {
				t.Fatalf("the library reads %d, %v from %q", code, err, r.wire())
			}
			if _, err := lib.R.ReadByte(); err != io.EOF {
				t.Fatalf("the library leaves bytes of %q", r.wire())
			}
		}
	})
}
