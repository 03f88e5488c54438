package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"ftpfs/conn"
)

// Bounds of what a server may say. Real replies are far below them.
const (
	maxLine  = 64 << 10 // bytes of one line, its end not counted
	maxReply = 1 << 20  // bytes of one reply
)

// Reply is one whole answer of the server (RFC 959, 4.2).
type Reply struct {
	Code  int      // 100 to 599
	Lines []string // text without codes and line ends, at least one line; FEAT's and MLST's keep their indent
}

// Text returns the text in one line.
func (r Reply) Text() string {
	if len(r.Lines) == 1 {
		return r.Lines[0]
	}
	var parts []string
	for _, l := range r.Lines {
		if l = strings.TrimSpace(l); l != "" {
			parts = append(parts, l)
		}
	}
	return strings.Join(parts, " ")
}

// String returns code and text.
func (r Reply) String() string { return fmt.Sprintf("%d %s", r.Code, r.Text()) }

// Preliminary reports whether another reply follows (1yz).
func (r Reply) Preliminary() bool { return r.Code/100 == 1 }

// OK reports whether the command is done (2yz).
func (r Reply) OK() bool { return r.Code/100 == 2 }

// wire returns the reply in the one form that net/textproto reads without
// surprises: no text line can be taken for the last one, and each has the
// leading space that the library demands of a feature.
func (r Reply) wire() []byte {
	var b strings.Builder
	last := len(r.Lines) - 1
	for i, l := range r.Lines {
		switch {
		case i == last:
			fmt.Fprintf(&b, "%d %s\r\n", r.Code, l)
		case i == 0:
			fmt.Fprintf(&b, "%d-%s\r\n", r.Code, l)
		case strings.HasPrefix(l, " "):
			fmt.Fprintf(&b, "%s\r\n", l)
		default:
			fmt.Fprintf(&b, " %s\r\n", l)
		}
	}
	return []byte(b.String())
}

// replyReader reads whole replies. It is lenient where servers are known to
// be sloppy: blank lines are dropped, lines may end in LF alone, text lines
// may repeat the code ("211-"), and a multi-line reply may end with another
// code of the same class.
type replyReader struct {
	r *bufio.Reader
}

func newReplyReader(r io.Reader) *replyReader {
	return &replyReader{r: bufio.NewReaderSize(r, 4<<10)}
}

// Wait returns when the next reply has begun: white space is none. Errors as Read.
func (p *replyReader) Wait() error {
	for {
		b, err := p.r.Peek(1)
		if err != nil {
			return err
		}
		if !strings.ContainsRune("\t\n\v\f\r ", rune(b[0])) {
			return nil
		}
		p.r.Discard(1)
	}
}

// Read returns the next reply. io.EOF means that the connection ended between
// replies, io.ErrUnexpectedEOF within one; anything that is not a reply is an
// error that wraps conn.ErrProtocol and says what came.
func (p *replyReader) Read() (Reply, error) {
	if err := p.Wait(); err != nil { // one idea of where a reply begins
		return Reply{}, err
	}
	line, err := p.line()
	if err != nil {
		return Reply{}, err
	}
	code, more, text, ok := splitLine(line)
	if !ok {
		return Reply{}, fmt.Errorf("%w: %q is no reply", conn.ErrProtocol, clip(line))
	}
	r := Reply{Code: code, Lines: []string{text}}
	for size := len(line); more; {
		if line, err = p.line(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return Reply{}, err
		}
		if size += len(line); size > maxReply {
			return Reply{}, fmt.Errorf("%w: a reply has more than %d bytes", conn.ErrProtocol, maxReply)
		}
		c, continued, text, ok := splitLine(line)
		switch {
		case ok && !continued && c/100 == code/100:
			r.Code, more = c, false
			r.Lines = append(r.Lines, text)
		case ok && continued && c == code:
			r.Lines = append(r.Lines, text)
		default:
			r.Lines = append(r.Lines, line)
		}
	}
	return r, nil
}

// line returns the next line that is not blank, without its end.
func (p *replyReader) line() (string, error) {
	for {
		var line []byte
		for {
			part, err := p.r.ReadSlice('\n')
			line = append(line, part...)
			if len(line) > maxLine+len("\r\n") {
				return "", fmt.Errorf("%w: a line has more than %d bytes", conn.ErrProtocol, maxLine)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				if errors.Is(err, io.EOF) && len(line) > 0 {
					err = io.ErrUnexpectedEOF
				}
				return "", err
			}
		}
		if s := strings.TrimRight(string(line), "\r\n"); strings.TrimSpace(s) != "" {
			return s, nil
		}
	}
}

// splitLine takes "123 text", "123-text" or "123" apart.
func splitLine(l string) (code int, more bool, text string, ok bool) {
	if len(l) < 3 || l[0] < '1' || l[0] > '5' {
		return 0, false, "", false
	}
	for _, d := range []byte(l[:3]) {
		if d < '0' || d > '9' {
			return 0, false, "", false
		}
		code = code*10 + int(d-'0')
	}
	if len(l) == 3 {
		return code, false, "", true
	}
	if l[3] != ' ' && l[3] != '-' {
		return 0, false, "", false
	}
	return code, l[3] == '-', l[4:], true
}

// clip bounds what is quoted of a server in an error.
func clip(s string) string { return s[:min(len(s), 200)] }
