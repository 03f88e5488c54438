// Package doctor tries out what a server can do, and says what it found and
// what would help. It works in a folder of its own on the server, which it
// removes, and knows the server by its sessions only.
package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"ftpfs/conn"
)

const (
	noops       = 5               // of which the fastest is the round-trip time
	activeLimit = 5 * time.Second // for a connection that the server makes
	cleanLimit  = time.Minute     // to remove the folder after an interrupt
)

// Finding is what came out of one trial.
type Finding struct {
	What   string
	Result string
	Advice string // "" if there is nothing to say
}

// About is implemented by sessions that can tell of their connection.
type About interface {
	// About returns the server's greeting, the version of TLS ("" without),
	// and the command that lists directories.
	About() (greeting, tls, lists string)
}

// examination is one run.
type examination struct {
	ctx      context.Context
	cfg      conn.Config
	open     func(conn.Config) conn.Dialer
	sessions int // to try at most
	tell     func(Finding)
	s        conn.Session
	dir      string // the folder on the server; "" if it could not be made
}

// Examine logs in with sessions that open makes and tells what it finds as it
// goes, with at most so many sessions at a time. The error is that of the
// login, of a session that broke, or ctx's.
func Examine(ctx context.Context, cfg conn.Config, open func(conn.Config) conn.Dialer, sessions int, tell func(Finding)) error {
	e := &examination{ctx: ctx, cfg: cfg, open: open, sessions: sessions, tell: tell}
	start := time.Now()
	var err error
	if e.s, err = open(cfg)(ctx); err != nil {
		return err
	}
	defer func() { e.s.Close() }()
	e.found("login", "", "%s", round(time.Since(start)))
	for _, trial := range []func() error{e.about, e.roundTrip, e.listing, e.tlsVersions, e.active, e.folder} {
		if err := trial(); err != nil {
			return err
		}
	}
	if e.dir != "" {
		defer e.clean()
		for _, trial := range []func() error{e.upload, e.abilities, e.rename, e.attributes, e.removal} {
			if err := trial(); err != nil {
				return err
			}
		}
		if err := e.speed(); err != nil {
			return err
		}
	}
	return e.count()
}

func (e *examination) found(what, advice, format string, args ...any) {
	e.tell(Finding{What: what, Result: fmt.Sprintf(format, args...), Advice: advice})
}

// verdict tells whether a trial worked. A refusal is a finding; any other
// error ends the examination.
func (e *examination) verdict(what string, err error, advice string) error {
	switch {
	case err == nil:
		e.found(what, "", "yes")
	case errors.Is(err, errors.ErrUnsupported):
		e.found(what, advice, "no")
	case conn.OutcomeOf(err) == conn.Refused:
		e.found(what, advice, "refused: %v", err)
	default:
		return err
	}
	return nil
}

func (e *examination) about() error {
	a, ok := e.s.(About)
	if !ok {
		return nil
	}
	greeting, version, lists := a.About()
	e.found("server", "", "%s", greeting)
	e.found("directory at login", "", "%s", e.s.Home())
	if version == "" {
		e.found("encryption", "who is in between can read passwords and files: have the server offer TLS", "none")
	} else {
		e.found("encryption", "", "%s", version)
	}
	if lists == "LIST" {
		e.found("listings", "times may be exact to the minute only; a server with MLSD tells more", "LIST")
	} else {
		e.found("listings", "", "%s", lists)
	}
	return nil
}

func (e *examination) roundTrip() error {
	best := time.Hour
	for range noops {
		start := time.Now()
		if err := e.s.Noop(e.ctx); err != nil {
			return err
		}
		best = min(best, time.Since(start))
	}
	e.found("round trip", "", "%s", round(best))
	return nil
}

// home is the directory to be mounted.
func (e *examination) home() string {
	if strings.HasPrefix(e.cfg.Path, "/") {
		return e.cfg.Path
	}
	return path.Join(e.s.Home(), e.cfg.Path)
}

func (e *examination) listing() error {
	start := time.Now()
	l, err := e.s.List(e.ctx, e.home())
	if err != nil {
		return err
	}
	how := "passive data connection"
	if e.cfg.Active {
		how = "active data connection"
	}
	e.found(how, "", "yes, %d entries in %s", len(l.Entries), round(time.Since(start)))
	return nil
}

// tlsVersions lists a directory with each version: data connections must
// resume the session in it, too.
func (e *examination) tlsVersions() error {
	a, ok := e.s.(About)
	if !ok {
		return nil
	}
	if _, version, _ := a.About(); version == "" {
		return nil
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := e.cfg
		cfg.TLS.Version = v
		advice := ""
		err := e.with(cfg, func(s conn.Session) error {
			_, err := s.List(e.ctx, e.home())
			return err
		})
		result := "yes, and so do data connections"
		if err != nil {
			result, advice = "no: "+err.Error(), "the other version is used"
		}
		if errors.Is(err, conn.ErrResumption) {
			advice = "change the server as the error says, if the other version does not work either"
		}
		e.found(tls.VersionName(v), advice, "%s", result)
	}
	return e.ctx.Err()
}

// with runs f on a session of its own.
func (e *examination) with(cfg conn.Config, f func(conn.Session) error) error {
	s, err := e.open(cfg)(e.ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

func (e *examination) active() error {
	if e.cfg.Active || e.cfg.Proxy != "" {
		return nil
	}
	cfg := e.cfg
	cfg.Active, cfg.Timeout, cfg.ConnectTimeout = true, activeLimit, activeLimit
	err := e.with(cfg, func(s conn.Session) error {
		_, err := s.List(e.ctx, e.home())
		return err
	})
	if err != nil {
		e.found("active data connection", "none needed, as passive ones work", "no: %v", err)
		return e.ctx.Err()
	}
	e.found("active data connection", "", "yes")
	return nil
}

func (e *examination) folder() error {
	dir := path.Join(e.home(), ".ftpfs-doctor-"+strings.ToLower(rand.Text()[:8]))
	err := e.s.Mkdir(e.ctx, dir)
	if err == nil {
		e.dir = dir
	}
	return e.verdict("writing", err, "nothing can be written to this directory: mount another one, or use --read-only")
}

// clean removes the folder, also after an interrupt, when the session is of
// no use any more.
func (e *examination) clean() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), cleanLimit)
	defer cancel()
	if e.s.Err() != nil {
		s, err := e.open(e.cfg)(ctx)
		if err != nil {
			e.found("cleaning up", "remove it by hand", "%s is left: %v", e.dir, err)
			return
		}
		defer s.Close()
		e.s = s
	}
	l, err := e.s.List(ctx, e.dir)
	for _, f := range l.Entries {
		err = errors.Join(err, e.s.Remove(ctx, path.Join(e.dir, f.Name), f.Kind))
	}
	if err = errors.Join(err, e.s.Remove(ctx, e.dir, conn.KindDir)); err != nil {
		e.found("cleaning up", "remove it by hand", "%s is left: %v", e.dir, err)
	}
}

func (e *examination) file(name string) string { return path.Join(e.dir, name) }

func (e *examination) store(name, content string, c conn.Commit) error {
	c.Size = int64(len(content))
	_, err := e.s.Store(e.ctx, e.file(name), strings.NewReader(content), c)
	return err
}

// upload stores a file, and compares the server's clock with ours.
func (e *examination) upload() error {
	if err := e.store("a", "0123456789", conn.Commit{}); err != nil {
		return err
	}
	f, err := e.s.Stat(e.ctx, e.file("a"))
	if err != nil {
		return err
	}
	d, err := e.s.Open(e.ctx, e.file("a"), 4, conn.Version{})
	if err != nil {
		return e.verdict("reading from the middle (REST)", err, "files are read from their beginning only")
	}
	got, err := io.ReadAll(d)
	d.Close()
	if err == nil && string(got) != "456789" {
		err = fmt.Errorf("%w: REST 4 gave %q", conn.ErrProtocol, got)
	}
	if err := e.verdict("reading from the middle (REST)", err, ""); err != nil {
		return err
	}
	if f.Time.IsZero() {
		e.found("clock", "changes by others are found by their size only", "the server tells no times")
		return nil
	}
	advice, off := "", time.Since(f.Time).Round(time.Second)
	if off.Abs() > time.Minute {
		advice = "set the clocks by NTP; if it is off by hours, the server gives its local time instead of UTC"
	}
	e.found("clock", advice, "%v behind ours", off)
	return nil
}

func (e *examination) abilities() error {
	a, err := e.s.TryOut(e.ctx, e.file("b"))
	if err != nil {
		return err
	}
	e.tell(Finding{"adding to a file (APPE)", yesNo(a.Appends), unless(a.Appends, "appended files are stored whole")})
	return nil
}

func (e *examination) rename() error {
	if err := e.store("c", "new", conn.Commit{}); err != nil {
		return err
	}
	return e.verdict("renaming over a file", e.s.Rename(e.ctx, e.file("c"), e.file("a")), "uploads are not atomic: use --upload=direct")
}

func (e *examination) attributes() error {
	if err := e.verdict("permissions (SITE CHMOD)", e.s.Chmod(e.ctx, e.file("a"), 0o640), "chmod fails"); err != nil {
		return err
	}
	then := time.Date(2024, time.May, 4, 12, 0, 0, 0, time.UTC)
	err := e.s.SetTime(e.ctx, e.file("a"), then)
	if err == nil {
		f, statErr := e.s.Stat(e.ctx, e.file("a"))
		if err = statErr; err == nil && !f.Time.Equal(then) {
			e.found("times (MFMT, MDTM)", "cp -p and rsync will not keep times", "taken, but the time is %v then", f.Time)
			return nil
		}
	}
	return e.verdict("times (MFMT, MDTM)", err, "cp -p and rsync cannot keep times")
}

func (e *examination) removal() error {
	err := e.s.Remove(e.ctx, e.file("a"), conn.KindFile)
	if err == nil {
		_, err = e.s.Stat(e.ctx, e.file("a"))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err := e.verdict("removing", err, "files cannot be removed, temporary ones neither: use --upload=direct"); err != nil {
		return err
	}
	safe, err := e.s.RefusesFull(e.ctx, e.file("d"))
	if err != nil {
		return err
	}
	e.tell(Finding{"RMD refuses full directories", yesNo(safe), unless(safe, "each is listed before it is removed")})
	return nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func unless(b bool, advice string) string {
	if b {
		return ""
	}
	return advice
}

// round drops digits that mean nothing.
func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
