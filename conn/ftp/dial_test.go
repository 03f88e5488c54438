package ftp

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/conn/wire"
)

func TestLogin(t *testing.T) {
	srv := ftptest.Start(t)
	s := open(t, srv)
	if s.Home() != "/" {
		t.Errorf("home is %q", s.Home())
	}
	wantAlive(t, s)
	if n := len(srv.Log()); n > 10 {
		t.Errorf("the login took %d commands: %v", n, srv.Log())
	}
	s.Close()
	srv.WaitSessions(0)
	if err := s.Noop(bg); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestLoginRefused(t *testing.T) {
	refuse := ftptest.Refuse
	for name, tt := range map[string]struct {
		fault ftptest.Fault
		want  error
	}{
		"wrong password":           {refuse("PASS", 530, "Login incorrect."), conn.ErrLogin},
		"account wanted":           {refuse("PASS", 332, "Need account"), conn.ErrLogin},
		"password again":           {refuse("PASS", 331, "Password please"), conn.ErrLogin},
		"user refused":             {refuse("USER", 530, "Permission denied."), conn.ErrLogin},
		"too many, vsftpd":         {ftptest.TooManyAtConnect(0), conn.ErrTooMany},
		"too many, ProFTPD":        {ftptest.TooManyAtLogin(0), conn.ErrTooMany},
		"too many at PASS, 421":    {refuse("PASS", 421, "Too many connections"), conn.ErrTooMany},
		"TLS, vsftpd":              {refuse("USER", 530, "Non-anonymous sessions must use encryption."), conn.ErrNeedTLS},
		"TLS, vsftpd at PASS":      {refuse("PASS", 530, "Non-anonymous sessions must use encryption."), conn.ErrNeedTLS},
		"TLS, ProFTPD":             {refuse("USER", 550, "SSL/TLS required on the control channel"), conn.ErrNeedTLS},
		"TLS, Pure-FTPd":           {refuse("USER", 421, "Sorry, cleartext sessions and weak ciphers are not accepted on this server."), conn.ErrNeedTLS},
		"TLS, FileZilla":           {refuse("USER", 503, "Use AUTH first."), conn.ErrNeedTLS},
		"TLS, IIS":                 {refuse("PASS", 534, "Policy requires SSL."), conn.ErrNeedTLS},
		"session dropped at login": {ftptest.DropBefore("PASS"), io.ErrUnexpectedEOF},
		"z/OS":                     {ftptest.ReplaceReply("SYST", 215, 215, "MVS is the operating system of this server."), errors.ErrUnsupported},
		"no binary mode":           {refuse("TYPE", 504, "not here"), errors.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			srv.Fault(tt.fault)
			s, err := Dialer(configOf(srv))(bg)
			if !errors.Is(err, tt.want) || conn.OutcomeOf(err) != conn.NotExecuted || s != nil {
				t.Errorf("%v, %v, want %v", s, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), ftptest.Password+" ") {
				t.Errorf("the error tells the password: %v", err)
			}
			srv.WaitSessions(0)
		})
	}
}

// Refusals after the login that do no harm.
func TestLoginGoesOn(t *testing.T) {
	for _, fault := range []ftptest.Fault{
		ftptest.Refuse("FEAT", 500, "what?"),
		ftptest.Refuse("OPTS", 501, "no"),
		ftptest.Refuse("SYST", 502, "no"),
		ftptest.Refuse("PWD", 550, "no"),
	} {
		srv := ftptest.Start(t)
		srv.Fault(fault)
		s := open(t, srv)
		if s.Home() != "/" {
			t.Errorf("home is %q", s.Home())
		}
		wantAlive(t, s)
	}
}

func TestPasswordWithLineBreak(t *testing.T) {
	srv := ftptest.Start(t)
	cfg := configOf(srv)
	cfg.Password = "p\r\nDELE /x"
	if _, err := Dialer(cfg)(bg); !errors.Is(err, conn.ErrLogin) {
		t.Errorf("%v", err)
	}
	if log := srv.Log(); len(log) > 0 {
		t.Errorf("the server got %v", log)
	}
}

func TestServerThatIsNone(t *testing.T) {
	for name, tt := range map[string]struct {
		says string
		want error
	}{
		"another protocol":        {"SSH-2.0-OpenSSH\r\n", conn.ErrProtocol},
		"refused by the greeting": {"530 go away\r\n", conn.ErrLogin},
		"a strange greeting":      {"200 hello\r\n", conn.ErrProtocol},
		"silence":                 {"", conn.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := conn.Config{Host: "h", Port: 21, Timeout: 50 * time.Millisecond, Dial: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					io.WriteString(there, tt.says)
					io.Copy(io.Discard, there)
				}()
				return here, nil
			}}
			_, err := Dialer(cfg)(bg)
			if !errors.Is(err, tt.want) || conn.OutcomeOf(err) != conn.NotExecuted {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestLoginInterrupted(t *testing.T) {
	srv := ftptest.Start(t)
	srv.Fault(ftptest.StallControl(ftptest.ToClient, 30))
	ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
	defer cancel()
	if _, err := Dialer(configOf(srv))(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestHostDown(t *testing.T) {
	srv := ftptest.Start(t)
	cfg := configOf(srv)
	srv.Stop()
	if _, err := Dialer(cfg)(bg); !errors.Is(err, conn.ErrHostDown) {
		t.Errorf("%v", err)
	}
}

func TestParsePWD(t *testing.T) {
	for text, want := range map[string]string{
		`"/"`:                                "/",
		`"/home/u" is the current directory`: "/home/u",
		`"/a ""b"" c" is cwd`:                `/a "b" c`,
		`"/a"b" is cwd`:                      `/a"b`, // Pure-FTPd
		`"/a"""`:                             `/a"`,
		`no quotes`:                          "/",
		`"C:\dir"`:                           "/",
		`"`:                                  "/",
	} {
		if got := parsePWD(wire.Reply{Code: 257, Lines: []string{text}}); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := parsePWD(wire.Reply{Code: 550, Lines: []string{`"/x"`}}); got != "/" {
		t.Errorf("a refusal: %q", got)
	}
}

func TestFeatures(t *testing.T) {
	f := parseFeatures(wire.Reply{Code: 211, Lines: []string{"Features", " MLST type*;size*;unix.mode", "mdtm", " REST STREAM", "End"}})
	if !f.has("MDTM") || !f.has("REST") || f.has("SIZE") || f.facts() != "type;size;unix.mode;" {
		t.Errorf("%v, facts %q", f, f.facts())
	}
	if f := parseFeatures(wire.Reply{Code: 500, Lines: []string{"what?"}}); f.has("MLST") || f.facts() != "" {
		t.Errorf("of a refusal: %v", f)
	}
}

func TestCommandLimit(t *testing.T) {
	for greeting, want := range map[string]int{
		"ProFTPD Server (lab) [127.0.0.1]": 4000, "(vsFTPd 3.0.3)": 4000, "pyftpdlib 1.5.7 ready.": 2000, "localhost FTP server": 508,
	} {
		if got := productOf(wire.Reply{Code: 220, Lines: []string{greeting}}).manners.MaxLine; got != want {
			t.Errorf("%s: %d, want %d", greeting, got, want)
		}
	}
}
