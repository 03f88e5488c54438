package ftp

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

func TestAppend(t *testing.T) {
	srv, s := start(t, map[string]string{"f": "content"})
	before, err := s.Stat(bg, "/f")
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Append(bg, "/f", 7, strings.NewReader(", more"), conn.Commit{Size: 13, Time: someTime, Base: before.Version()})
	if err != nil || e.Size != 13 || !e.Time.Equal(someTime) || e.Name != "f" {
		t.Errorf("%+v, %v", e, err)
	}
	if got := onServer(srv, "f"); got != "content, more" {
		t.Errorf("the server has %q", got)
	}
	wantAlive(t, s)
}

// A file that is not what it should be gets no byte, and the session lives.
func TestAppendToAnotherVersion(t *testing.T) {
	srv, s := start(t, map[string]string{"f": "content", "d/": ""})
	for name, tt := range map[string]struct {
		path    string
		offset  int64
		base    conn.Version
		meaning error
	}{
		"another size": {"/f", 6, conn.Version{}, conn.ErrConflict},
		"another time": {"/f", 7, conn.Version{State: conn.Present, Size: 7, Time: someTime, Precision: time.Second}, conn.ErrConflict},
		"a directory":  {"/d", 0, conn.Version{}, conn.ErrIsDir},
		"missing":      {"/no/f", 7, conn.Version{}, os.ErrNotExist},
	} {
		_, err := s.Append(bg, tt.path, tt.offset, strings.NewReader("more"), conn.Commit{Size: 11, Base: tt.base})
		if t.Run(name, func(t *testing.T) { want(t, s, err, tt.meaning, conn.Refused) }); s.Err() != nil {
			return
		}
		wantAlive(t, s)
	}
	if got := onServer(srv, "f"); got != "content" {
		t.Errorf("the server has %q", got)
	}
}

func TestAppendCut(t *testing.T) {
	srv, s := start(t, map[string]string{"f": "content"})
	srv.Fault(ftptest.CutData("APPE", 1000))
	_, err := s.Append(bg, "/f", 7, strings.NewReader(strings.Repeat(big, 32)), conn.Commit{Size: 7})
	if err == nil || conn.OutcomeOf(err) != conn.Unknown || s.Err() == nil {
		t.Errorf("%v, Err %v", err, s.Err())
	}
}

// rewriting returns cfg with a network on which from is sent as to.
func rewriting(cfg conn.Config, from, to string) conn.Config {
	dial := cfg.Dial
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return rewriter{c, from, to}, nil
	}
	return cfg
}

type rewriter struct {
	net.Conn
	from, to string
}

func (r rewriter) Write(p []byte) (int, error) {
	if _, err := r.Conn.Write([]byte(strings.ReplaceAll(string(p), r.from, r.to))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func TestTryOut(t *testing.T) {
	for name, tt := range map[string]struct {
		from, to string // what the server takes for what
		faults   []ftptest.Fault
		want     conn.Abilities
	}{
		"all":         {want: conn.Abilities{Appends: true}},
		"APPE = STOR": {from: "APPE ", to: "STOR "},
		"no APPE":     {faults: []ftptest.Fault{ftptest.Refuse("APPE", 500, "what?")}},
		"no sizes":    {faults: []ftptest.Fault{ftptest.Refuse("SIZE", 550, "Could not get file size.")}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			for _, f := range tt.faults {
				srv.Fault(f)
			}
			cfg := configOf(srv)
			if tt.from != "" {
				cfg = rewriting(cfg, tt.from, tt.to)
			}
			cfg.FactsFile = filepath.Join(t.TempDir(), "facts")
			s := openWith(t, cfg)
			if _, tried := s.Abilities(); tried {
				t.Error("tried before TryOut")
			}
			got, err := s.TryOut(bg, "/scratch")
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
			if left := onServer(srv, "scratch"); !strings.HasPrefix(left, "error") {
				t.Errorf("the scratch file is left: %q", left)
			}
			wantAlive(t, s)
			again := openWith(t, cfg) // as another mount does
			if got, tried := again.Abilities(); !tried || got != tt.want {
				t.Errorf("later: %+v, tried %v", got, tried)
			}
		})
	}
}

func TestTryOutWhereNothingMayBeWritten(t *testing.T) {
	srv, s := start(t, nil)
	srv.Fault(ftptest.Refuse("STOR", 553, "/scratch: Permission denied"))
	if _, err := s.TryOut(bg, "/scratch"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v", err)
	}
	if _, tried := s.Abilities(); tried {
		t.Error("that tells nothing of what the server can do")
	}
}
