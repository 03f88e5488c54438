package wire

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// secretMark stands for what nobody is to see.
const secretMark = "****"

// trace writes down what is said with a server: a line has the time, the
// number of the session, and ">" for us, "<" for the server, "-" for an event.
type trace struct {
	mu       sync.Mutex
	w        io.Writer // guarded by mu
	sessions int       // guarded by mu
}

// session returns the trace of the next session; nil for a nil trace.
func (t *trace) session() *sessionTrace {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions++
	return &sessionTrace{t, t.sessions}
}

// sessionTrace is the trace of one session. A nil one writes nothing.
type sessionTrace struct {
	*trace
	number int
}

// line writes a line. That it cannot be written must not end the session.
func (t *sessionTrace) line(direction, text string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%s %d %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), t.number, direction, printable(text))
}

func (t *sessionTrace) sent(commands ...string) {
	if t == nil {
		return
	}
	for _, c := range commands {
		t.line(">", masked(c))
	}
}

func (t *sessionTrace) received(r Reply) {
	if t == nil {
		return
	}
	for i, l := range r.Lines {
		if more := i < len(r.Lines)-1; more {
			t.line("<", fmt.Sprintf("%d-%s", r.Code, l))
		} else {
			t.line("<", fmt.Sprintf("%d %s", r.Code, l))
		}
	}
}

func (t *sessionTrace) event(format string, args ...any) {
	if t != nil {
		t.line("-", fmt.Sprintf(format, args...))
	}
}

// masked returns a command without the secret in it.
func masked(command string) string {
	upper := strings.ToUpper(command)
	for _, c := range []string{"PASS ", "ACCT ", "SITE PSWD "} {
		if strings.HasPrefix(upper, c) {
			return command[:len(c)] + secretMark
		}
	}
	return command
}

// printable keeps a line one line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// shortSecret is how many bytes a password must have to be found wherever it
// is: shorter ones are parts of words.
const shortSecret = 4

// unsaid returns a reply without the secrets of the login in it: some servers
// repeat a command that they do not like.
func (c *Control) unsaid(r Reply) Reply {
	var pairs []string
	for verb, secret := range map[string]string{"PASS ": c.server.cfg.Password, "ACCT ": c.server.cfg.Account} {
		if len(secret) >= shortSecret {
			pairs = append(pairs, secret, secretMark)
		} else if secret != "" {
			pairs = append(pairs, verb+secret, verb+secretMark)
		}
	}
	hide := strings.NewReplacer(pairs...)
	lines := make([]string, len(r.Lines))
	for i, l := range r.Lines {
		lines[i] = hide.Replace(l)
	}
	r.Lines = lines
	return r
}
