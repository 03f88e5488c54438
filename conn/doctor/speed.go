package doctor

import (
	"errors"
	"fmt"
	"io"
	"time"

	"ftpfs/conn"
)

const (
	streams = 4       // side by side
	load    = 8 << 20 // bytes of each
)

// zeros is a source of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// speed measures one upload, one download, and several downloads at once.
func (e *examination) speed() error {
	start := time.Now()
	if _, err := e.s.Store(e.ctx, e.file("s"), io.LimitReader(zeros{}, load), conn.Commit{Size: load}); err != nil {
		return e.verdict("upload", err, "")
	}
	e.found("upload", "", "%s", rate(load, time.Since(start)))
	start = time.Now()
	if err := e.download(e.s); err != nil {
		return e.verdict("download", err, "")
	}
	one := time.Since(start)
	e.found("download", "", "%s", rate(load, one))
	all := make([]conn.Session, streams)
	defer func() {
		for _, s := range all {
			if s != nil {
				s.Close()
			}
		}
	}()
	for i := range all {
		var err error
		if all[i], err = e.open(e.cfg)(e.ctx); err != nil {
			e.found(fmt.Sprintf("%d downloads", streams), "", "only %d sessions: %v", i, err)
			return e.ctx.Err()
		}
	}
	start = time.Now()
	failed := make(chan error, streams)
	for _, s := range all {
		go func() { failed <- e.download(s) }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-failed)
	}
	if err != nil {
		return e.verdict(fmt.Sprintf("%d downloads", streams), err, "")
	}
	four, advice := time.Since(start), ""
	if four < 2*one {
		advice = "several files at once are faster than one after the other"
	}
	e.found(fmt.Sprintf("%d downloads", streams), advice, "%s together", rate(streams*load, four))
	return nil
}

func (e *examination) download(s conn.Session) error {
	d, err := s.Open(e.ctx, e.file("s"), 0, conn.Version{})
	if err != nil {
		return err
	}
	defer d.Close()
	n, err := io.Copy(io.Discard, d)
	if err == nil && n != load {
		err = fmt.Errorf("%w: %d bytes of %d", conn.ErrProtocol, n, load)
	}
	return err
}

func rate(bytes int64, d time.Duration) string {
	return fmt.Sprintf("%.1f MiB/s", float64(bytes)/(1<<20)/d.Seconds())
}

// count opens sessions until the server refuses one.
func (e *examination) count() error {
	all := []conn.Session{}
	defer func() {
		for _, s := range all {
			s.Close()
		}
	}()
	dial := e.open(e.cfg)
	for len(all)+1 < e.sessions {
		s, err := dial(e.ctx)
		switch {
		case err == nil:
			all = append(all, s)
			continue
		case errors.Is(err, conn.ErrTooMany):
			e.found("sessions", fmt.Sprintf("--max-connections=%d spares attempts", len(all)+1), "%d, then %v", len(all)+1, err)
			return nil
		}
		return err
	}
	e.found("sessions", "", "at least %d", len(all)+1)
	return nil
}
