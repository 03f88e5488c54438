package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"ftpfs/conn"
	"ftpfs/fs"

	"golang.org/x/term"
)

// mountURL is the command without a name: it mounts url at dir. It looks at
// everything local before it asks for a password or touches the network.
func mountURL(ctx context.Context, s *settings, url, dir string, std stdio) error {
	if err := s.finish(); err != nil {
		return err
	}
	cfg, err := conn.ParseURL(url)
	if err != nil {
		return usagef("%v", err)
	}
	asking := std.in != nil && term.IsTerminal(int(std.in.Fd()))
	if err := s.TLS.apply(&cfg, asking); err != nil {
		return err
	}
	if err := s.Way.apply(&cfg, os.Getenv); err != nil {
		return err
	}
	s.Server = portableConfig{Config: cfg}
	if s.Mountpoint, err = resolveMountpoint(dir); err != nil {
		return err
	}
	if err := checkMountpoint(s.Mountpoint, s.NonEmpty, fs.DetachDead); err != nil {
		return err
	}
	if err := harden(); err != nil {
		return hardenError(err)
	}
	m := newMounting(ctx, s, noticeTo(std.err))
	defer m.close()
	find := secrets{getenv: os.Getenv, prompt: terminalPrompt(m.stopping, std.in, std.err), notice: m.notice}
	if err := find.find(m.stopping, &s.Server.Config, s.PasswordFile); err != nil {
		return m.interrupted(err)
	}
	certs := certificates{ask: terminalQuestion(m.stopping, std.in, std.err), known: conn.NewKnownCerts(cfg.TLS.Known)}
	if s.Foreground {
		m.terminal = terminalProgress(std.err, stopHint)
		return certs.retry(func() error { return m.foreground(std.err, func() error { return nil }) })
	}
	if s.LogFile == "" {
		s.LogFile, s.OwnLog = ownLogFile(s.CacheDir, s.Mountpoint), true
	}
	d, err := newDetacher(s)
	if err != nil {
		return err
	}
	return certs.retry(func() error { return d.start(m.stopping, s, m.notice) })
}

// runDetached is the detached process.
func runDetached(ctx context.Context) error {
	s, report, err := inherited()
	if err != nil {
		return err
	}
	if err := harden(); err != nil {
		report.fail(hardenError(err))
		return err
	}
	m := newMounting(ctx, s, report.notice)
	defer m.close()
	var out io.Writer = os.Stderr // the log file
	if s.OwnLog {
		out = &smallLog{max: maxLog, file: os.Stderr, older: s.LogFile + ".1"}
	}
	log := newLogger(out, s)
	if err = m.run(log, report.ready); err != nil {
		log.Error("ended with an error", "err", err)
		report.fail(err)
		return &exitError{code: exitCode(err)}
	}
	return nil
}

func hardenError(err error) error {
	return failf("cannot keep the password out of core files: %v", err)
}

// noticeTo prints lines for the user.
func noticeTo(w io.Writer) func(string) {
	return func(text string) { fmt.Fprintf(w, "ftpfs: %s\n", oneLine(text)) }
}

// mounting makes a mount and lives with it until it ends.
type mounting struct {
	*stopper
	settings *settings
	notice   func(string)      // tells the user one line before the mount works
	terminal func(pending int) // see life
	release  func()            // of the signals
	live     atomic.Pointer[life]
}

func newMounting(ctx context.Context, s *settings, notice func(string)) *mounting {
	m := &mounting{stopper: newStopper(ctx), settings: s, notice: notice}
	m.release = m.watch(func() {
		if l := m.live.Load(); l != nil {
			l.refresh("")
		}
	})
	return m
}

func (m *mounting) close() {
	m.release()
	m.kill()
}

// interrupted replaces a failure to start by a plain line, if the user ended
// the command meanwhile.
func (m *mounting) interrupted(err error) error {
	if err != nil && m.stopping.Err() != nil {
		return failf("interrupted: nothing is mounted")
	}
	return err
}

// foreground runs the mount in this process, which logs to stderr or to
// --log-file. ready is called once the mount works.
func (m *mounting) foreground(stderr io.Writer, ready func() error) error {
	out := stderr
	if m.settings.LogFile != "" {
		f, err := openLogFile(m.settings.LogFile)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	return m.run(newLogger(out, m.settings), ready)
}

// run mounts, tells ready, and returns when the mount has ended.
func (m *mounting) run(log *slog.Logger, ready func() error) error {
	l, control, err := m.start(log)
	if err != nil {
		return m.interrupted(err)
	}
	m.live.Store(l)
	control.serve(l)
	log.Info("mounted", "url", m.settings.Server.Redacted(), "mountpoint", m.settings.Mountpoint, "mount", l.mountID)
	if err := ready(); err != nil {
		log.Warn("the command that started the mount is gone: unmounting", "err", err)
		m.stop()
	}
	err = l.run()
	if closeErr := control.close(); closeErr != nil {
		log.Warn("cannot remove the control socket", "err", closeErr)
	}
	log.Info("ended", "mountpoint", m.settings.Mountpoint)
	return err
}

// terminalProgress shows on the terminal w how many files are left to upload,
// in one line that is overwritten, and hint. It returns nil if w is no terminal.
func terminalProgress(w io.Writer, hint string) func(pending int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(pending int) { showProgress(f, pending, hint) }
}

// What Ctrl-C does while files are uploaded.
const (
	stopHint  = "Ctrl-C stops at once and keeps them for the next mount"
	leaveHint = "Ctrl-C does not wait for them"
)

// showProgress overwrites the line at the cursor; with nothing left it clears it.
func showProgress(w io.Writer, pending int, hint string) {
	if pending == 0 {
		fmt.Fprint(w, "\r\033[K")
		return
	}
	fmt.Fprintf(w, "\r\033[Kftpfs: files left to upload: %d (%s)", pending, hint)
}
