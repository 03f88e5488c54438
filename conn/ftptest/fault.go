package ftptest

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ftpfs/conn/ftptest/server"
)

// Verbs that no client sends.
const (
	Greeting = "greeting" // the reply to the connection itself
	Any      = "*"        // every command, not the greeting
)

// Direction is one of the two on a control connection.
type Direction uint8

// The directions.
const (
	FromClient Direction = iota // commands
	ToClient                    // replies
)

// Fault is something that goes wrong, made by one of the functions below and
// put into effect by Server.Fault. The methods return narrowed copies.
type Fault struct {
	verbs   []string
	arg     string
	hasArg  bool
	session int // 0: all
	times   int // 0: always
	reset   bool

	command func(*session, *armed) *server.Reply              // instead of executing
	reply   func(*session, *armed, server.Reply) server.Reply // before it is sent
	data    func(*armed) *gate                                // on the data connection
	edit    func([]byte) []byte                               // of what the data connection sends

	control   func(*armed) *gate // on the control connection
	direction Direction          // of control
}

// armed is a fault in effect.
type armed struct {
	Fault
	left    int           // guarded by Server.mu; how often it still happens
	gates   map[int]*gate // guarded by Server.mu; of control, by session
	removed chan struct{} // closed by remove
}

// Fault puts f into effect, behind the faults already there. The returned
// function takes it out again and lets go what it stalls; it may be called
// more than once.
func (s *Server) Fault(f Fault) (remove func()) {
	a := &armed{Fault: f, left: f.times, gates: map[int]*gate{}, removed: make(chan struct{})}
	if f.times == 0 {
		a.left = math.MaxInt
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, a)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.Index(s.faults, a); i >= 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
			close(a.removed)
		}
	}
}

// OnArg narrows f to commands with exactly this argument.
func (f Fault) OnArg(arg string) Fault { f.arg, f.hasArg = arg, true; return f }

// OnSession narrows f to one session, counted from 1 as in Command.
func (f Fault) OnSession(n int) Fault { f.session = n; return f }

// Times narrows f to the next n commands that it is about, or for a fault of
// the control connection to n sessions.
func (f Fault) Times(n int) Fault { f.times = n; return f }

// Once is Times(1).
func (f Fault) Once() Fault { return f.Times(1) }

// ByReset makes a fault that cuts or drops a connection do so with RST
// instead of FIN.
func (f Fault) ByReset() Fault { f.reset = true; return f }

func (a *armed) onCommands() bool { return a.control == nil }

func (a *armed) matches(session int, verb, arg string) bool {
	return (slices.Contains(a.verbs, verb) || verb != Greeting && slices.Contains(a.verbs, Any)) &&
		(!a.hasArg || a.arg == arg) && (a.session == 0 || a.session == session)
}

func (a *armed) takeLocked() bool {
	if a.left == 0 {
		return false
	}
	a.left--
	return true
}

func (a *armed) gone() bool {
	select {
	case <-a.removed:
		return true
	default:
		return false
	}
}

// Refuse answers a command with a reply instead of executing it. A data
// connection that was prepared for it is closed. A refused Greeting ends the
// session.
func Refuse(verb string, code int, text string) Fault {
	return Fault{
		verbs:   []string{verb},
		command: func(*session, *armed) *server.Reply { return &server.Reply{Code: code, Text: text} },
		reply: func(ses *session, _ *armed, r server.Reply) server.Reply {
			if ses.verb == Greeting {
				return server.Reply{Code: code, Text: text, Close: true}
			}
			return r
		},
	}
}

// DropBefore ends the session instead of executing a command.
func DropBefore(verb string) Fault {
	return Fault{verbs: []string{verb}, command: func(ses *session, a *armed) *server.Reply {
		if a.reset {
			ses.control.resetOnClose()
		}
		return &server.Reply{Close: true}
	}}
}

// DropAfter executes a command and ends the session instead of sending its
// final reply: the reply is lost.
func DropAfter(verb string) Fault {
	return Fault{verbs: []string{verb}, reply: func(ses *session, a *armed, r server.Reply) server.Reply {
		if r.Code < 200 {
			return r
		}
		if a.reset {
			ses.control.resetOnClose()
		}
		return server.Reply{Close: true}
	}}
}

// ReplaceReply sends another reply where a command's would have the code; the
// command is executed. ReplaceReply("STOR", 426, 226, "Transfer complete") is
// a server that takes a cut upload for a whole one.
func ReplaceReply(verb string, code, newCode int, text string) Fault {
	return Fault{verbs: []string{verb}, reply: func(_ *session, _ *armed, r server.Reply) server.Reply {
		if r.Code == code {
			r.Code, r.Text = newCode, text
		}
		return r
	}}
}

// EditReply changes the text of a command's replies.
func EditReply(verb string, edit func(text string) string) Fault {
	return Fault{verbs: []string{verb}, reply: func(_ *session, _ *armed, r server.Reply) server.Reply {
		r.Text = edit(r.Text)
		return r
	}}
}

// DelayReply holds back a command's reply that has the code, for d or until
// the fault is removed.
func DelayReply(verb string, code int, d time.Duration) Fault {
	return Fault{verbs: []string{verb}, reply: func(ses *session, a *armed, r server.Reply) server.Reply {
		if r.Code != code {
			return r
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-a.removed:
		case <-ses.control.done:
		}
		return r
	}}
}

// Trail sends a line more right behind the final reply to a command, in the
// same packet. See also Server.Inject.
func Trail(verb, line string) Fault {
	return Fault{verbs: []string{verb}, reply: func(ses *session, _ *armed, r server.Reply) server.Reply {
		if r.Code >= 200 {
			ses.trail += line + "\r\n"
		}
		return r
	}}
}

// TooManyAtConnect greets every session beyond the first limit that are open
// with 421, and ends it. The text is vsftpd's.
func TooManyAtConnect(limit int) Fault {
	return Fault{verbs: []string{Greeting}, reply: func(ses *session, _ *armed, r server.Reply) server.Reply {
		if ses.ordinal() < limit {
			return r
		}
		return server.Reply{Code: 421, Text: "There are too many connected users, please try later.", Close: true}
	}}
}

// TooManyAtLogin answers PASS with 530 in every session beyond the first limit
// that are open, and ends it. The text is ProFTPD's.
func TooManyAtLogin(limit int) Fault {
	return Fault{verbs: []string{"PASS"}, command: func(ses *session, _ *armed) *server.Reply {
		if ses.ordinal() < limit {
			return nil
		}
		text := fmt.Sprintf("Sorry, the maximum number of allowed clients (%d) are already connected.", limit)
		return &server.Reply{Code: 530, Text: text, Close: true}
	}}
}

// RemovesTrees is a server whose RMD removes a directory with all that is in
// it, as that of goftp.io.
func RemovesTrees() Fault {
	return Fault{verbs: []string{"RMD"}, command: func(ses *session, a *armed) *server.Reply {
		dir := filepath.Join(ses.srv.Root, ses.arg)
		if _, err := os.Stat(dir); err != nil {
			return &server.Reply{Code: 550, Text: "No such directory"}
		}
		if err := os.RemoveAll(dir); err != nil {
			return &server.Reply{Code: 550, Text: err.Error()}
		}
		return &server.Reply{Code: 250, Text: "Directory deleted"}
	}}
}

// NoMLSD is a server without MLSD and MLST.
func NoMLSD() Fault { return without("MLST", "MLSD") }

// NoEPSV is a server without EPSV.
func NoEPSV() Fault { return without("EPSV") }

// NoMFMT is a server that sets times with SITE UTIME only.
func NoMFMT() Fault { return without("MFMT") }

// NoCopy is a server that does not copy files.
func NoCopy() Fault {
	return Fault{
		verbs: []string{"FEAT", "SITE"},
		command: func(ses *session, _ *armed) *server.Reply {
			if !strings.HasPrefix(ses.arg, "CP") {
				return nil
			}
			return &server.Reply{Code: 500, Text: "'SITE " + ses.arg + "' not understood"}
		},
		reply: func(_ *session, _ *armed, r server.Reply) server.Reply {
			if r.Code == 211 || r.Code == 214 {
				r.Text = strings.NewReplacer("\n SITE COPY", "", "\n CPFR <sp> pathname\n CPTO <sp> pathname", "").Replace(r.Text)
			}
			return r
		},
	}
}

// NoSymlink is a server that cannot make symlinks.
func NoSymlink() Fault { return withoutSite("SYMLINK") }

// withoutSite takes a SITE command out of FEAT.
func withoutSite(command string) Fault {
	return Fault{
		verbs: []string{"FEAT"},
		reply: func(_ *session, _ *armed, r server.Reply) server.Reply {
			r.Text = strings.ReplaceAll(r.Text, "\n SITE "+command, "")
			return r
		},
	}
}

// without makes verbs unknown, and takes them out of FEAT.
func without(verbs ...string) Fault {
	return Fault{
		verbs: append([]string{"FEAT"}, verbs...),
		command: func(ses *session, _ *armed) *server.Reply {
			if ses.verb == "FEAT" {
				return nil
			}
			return &server.Reply{Code: 500, Text: ses.verb + " not understood"}
		},
		reply: func(ses *session, _ *armed, r server.Reply) server.Reply {
			if ses.verb == "FEAT" {
				r.Text = strings.Join(slices.DeleteFunc(strings.Split(r.Text, "\n"), func(l string) bool {
					name, _, _ := strings.Cut(strings.TrimSpace(l), " ")
					return slices.Contains(verbs, name)
				}), "\n")
			}
			return r
		},
	}
}

// Listing sends raw, as it is, in place of every listing of a directory that
// succeeds (LIST, NLST, MLSD).
func Listing(raw string) Fault {
	return Fault{verbs: listings(), edit: func([]byte) []byte { return []byte(raw) }}
}

// TruncateListing sends the first n lines of a listing only, and says so in
// the text of the 226 as Pure-FTPd does.
func TruncateListing(n int) Fault {
	return Fault{
		verbs: listings(),
		edit: func(b []byte) []byte {
			lines := bytes.SplitAfter(b, []byte("\n"))
			return bytes.Join(lines[:min(n, len(lines))], nil)
		},
		reply: func(_ *session, _ *armed, r server.Reply) server.Reply {
			if r.Code == 226 {
				r.Text = fmt.Sprintf("Output truncated to %d matches", n)
			}
			return r
		},
	}
}

func listings() []string { return []string{"LIST", "NLST", "MLSD"} }

// CutData closes the data connection of a command after n bytes, when more
// are to come. The server itself then answers 426.
func CutData(verb string, n int) Fault {
	return Fault{verbs: []string{verb}, data: func(a *armed) *gate { return a.gate(n, false) }}
}

// StallData lets n bytes pass on the data connection of a command; then
// nothing moves until the fault is removed or the connection closed.
func StallData(verb string, n int) Fault {
	return Fault{verbs: []string{verb}, data: func(a *armed) *gate { return a.gate(n, true) }}
}

// CutControl closes the control connection after n bytes in one direction
// from now, when more are to come.
func CutControl(d Direction, n int) Fault {
	return Fault{direction: d, control: func(a *armed) *gate { return a.gate(n, false) }}
}

// StallControl lets n bytes pass in one direction of the control connection
// from now; then nothing moves there until the fault is removed or the
// session ended.
func StallControl(d Direction, n int) Fault {
	return Fault{direction: d, control: func(a *armed) *gate { return a.gate(n, true) }}
}

func (a *armed) gate(n int, stall bool) *gate {
	return &gate{left: n, stall: stall, reset: a.reset, removed: a.removed}
}
