package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// A detached mount is this program run again in a session of its own, as
// `ftpfs detached URL MOUNTPOINT`; its arguments are there only to be seen. It
// reads its settings, with the password, from one inherited pipe, and tells by
// another one how the start went. Its stderr is its log.
const (
	detachedCommand = "detached"
	settingsFD      = 3
	reportFD        = 4
)

// message is a line of the report that a detached process gives its starter:
// notices, and in the end ready or an error.
type message struct {
	Notice string `json:"notice,omitempty"`
	Ready  bool   `json:"ready,omitempty"`
	Error  string `json:"error,omitempty"`
	Code   int    `json:"code,omitempty"` // exit code, with Error

	Certificate *unknownCert `json:"certificate,omitempty"` // that Error is about
}

// detacher starts the detached process. Tests put themselves in its place.
type detacher struct {
	exe  string
	args []string // argv without the program's name
	env  []string
}

// newDetacher runs this program for the mount s. Neither argv nor the
// environment of the detached process holds the password.
func newDetacher(s *settings) (*detacher, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, failf("cannot find this program to detach (%v): use --foreground", err)
	}
	secretEnv := []string{passwordEnv, "ALL_PROXY", "all_proxy"} // a proxy's URL can hold a password
	var env []string
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); !slices.Contains(secretEnv, name) {
			env = append(env, e)
		}
	}
	return &detacher{exe: exe, args: []string{detachedCommand, s.Server.Redacted(), s.Mountpoint}, env: env}, nil
}

// start runs the detached process and returns once its mount works or has
// failed. If ctx ends before, the process is asked to give up.
func (d *detacher) start(ctx context.Context, s *settings, notice func(string)) error {
	text, err := s.marshal()
	if err != nil {
		return failf("cannot pass the settings on: %v", err)
	}
	log, err := openLogFile(s.LogFile)
	if err != nil {
		return err
	}
	defer log.Close()
	settingsR, settingsW, err := os.Pipe()
	if err != nil {
		return failf("cannot detach: %v", err)
	}
	defer settingsW.Close()
	reportR, reportW, err := os.Pipe()
	if err != nil {
		settingsR.Close()
		return failf("cannot detach: %v", err)
	}
	defer reportR.Close()

	dropInherited()
	c := exec.Command(d.exe, d.args...)
	c.Env = d.env
	c.Dir = "/" // a mount must not keep a directory busy
	c.Stdout, c.Stderr = log, log
	c.ExtraFiles = []*os.File{settingsR, reportW}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = c.Start()
	settingsR.Close()
	reportW.Close()
	if err != nil {
		return failf("cannot detach (%v): use --foreground", err)
	}
	defer context.AfterFunc(ctx, func() { c.Process.Signal(syscall.SIGTERM) })()
	if _, err := settingsW.Write(text); err != nil && !errors.Is(err, syscall.EPIPE) {
		return errors.Join(failf("cannot pass the settings on: %v", err), c.Process.Kill(), c.Wait())
	}
	settingsW.Close()
	if err := readReport(reportR, notice); err != nil {
		if _, told := errors.AsType[*exitError](err); !told {
			err = failf("the detached process has ended without a word (%v): see %s", err, s.LogFile)
		}
		c.Wait()
		return err
	}
	return c.Process.Release()
}

// dropInherited keeps the descriptors that this process was started with,
// such as a shell's pipes, from the detached one: whoever reads their other
// end would wait for it.
func dropInherited() {
	for fd := 3; fd < 1024; fd++ {
		syscall.CloseOnExec(fd)
	}
}

// readReport returns nil when the process is ready and its failure otherwise.
func readReport(r io.Reader, notice func(string)) error {
	for messages := json.NewDecoder(r); ; {
		var m message
		if err := messages.Decode(&m); err != nil {
			return err
		}
		switch {
		case m.Ready:
			return nil
		case m.Error != "":
			return &exitError{m.Code, m.Error, m.Certificate}
		default:
			notice(m.Notice)
		}
	}
}

// reporter is the detached process's end of the report.
type reporter struct{ w io.WriteCloser }

func (r reporter) send(m message) error { return json.NewEncoder(r.w).Encode(m) }

func (r reporter) notice(text string) { _ = r.send(message{Notice: text}) } // nobody left to tell

// ready ends the report. An error means that the starter is gone.
func (r reporter) ready() error {
	return errors.Join(r.send(message{Ready: true}), r.w.Close())
}

// fail ends the report with err.
func (r reporter) fail(err error) {
	m := message{Error: err.Error(), Code: exitCode(err)}
	if told, ok := errors.AsType[*exitError](err); ok {
		m.Certificate = told.cert
	}
	_ = r.send(m) // the log has it too
	r.w.Close()
}

// inherited returns the pipes that a detached process was started with.
func inherited() (*settings, reporter, error) {
	for _, fd := range []int{settingsFD, reportFD} {
		var st syscall.Stat_t
		if err := syscall.Fstat(fd, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
			return nil, reporter{}, errNotDetached()
		}
	}
	in, out := os.NewFile(settingsFD, "settings"), os.NewFile(reportFD, "report")
	defer in.Close()
	var s settings
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return nil, reporter{}, errNotDetached()
	}
	syscall.CloseOnExec(reportFD)
	return &s, reporter{out}, nil
}

func errNotDetached() error {
	return usagef("%q is for ftpfs itself: use ftpfs URL MOUNTPOINT", detachedCommand)
}
