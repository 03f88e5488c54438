package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ftpfs/cache"
)

const (
	othersPoll  = 100 * time.Millisecond
	handOverEnd = 5 * time.Second // for a process to end once it was asked to hand over
)

// awaitOthers waits until no other process uploads to the server for a mount
// that is gone: its journal could be read by nobody else, and its files would
// be missing in this mount. One that takes longer than --timeout is asked to
// leave what it has not uploaded to this mount.
func (m *mounting) awaitOthers(ctx context.Context, store *cache.Store) error {
	w := &othersWait{
		held:     store.Others,
		mounted:  func(dir string) bool { at, err := mountedAt(dir); return err != nil || at != nil },
		handOver: func(pid int) { askHandOver(ctx, pid) },
		notice:   m.notice,
		patience: m.settings.Timeout,
	}
	return w.run(ctx)
}

// othersWait is awaitOthers with its surroundings as fields, for tests.
type othersWait struct {
	held     func() ([]cache.Held, error)
	mounted  func(dir string) bool
	handOver func(pid int)
	notice   func(string)
	patience time.Duration
}

func (w *othersWait) run(ctx context.Context) error {
	tick := time.NewTicker(othersPoll)
	defer tick.Stop()
	var told, asked bool
	deadline := time.Now().Add(w.patience)
	for {
		busy, err := w.draining()
		if err != nil || len(busy) == 0 {
			return err
		}
		if !told {
			told = true
			w.notice(fmt.Sprintf("waiting for %s, still uploading to this server", pids(busy)))
		}
		if time.Now().After(deadline) {
			if asked {
				return failf("%s still holds files for this server and does not answer: end it and mount again", pids(busy))
			}
			asked = true
			for _, h := range busy {
				w.handOver(h.Owner.PID)
			}
			deadline = time.Now().Add(handOverEnd)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// draining returns the others that have files to upload and no mount.
func (w *othersWait) draining() ([]cache.Held, error) {
	held, err := w.held()
	if err != nil {
		return nil, err
	}
	var busy []cache.Held
	for _, h := range held {
		if h.Pending > 0 && !w.mounted(h.Owner.Mountpoint) {
			busy = append(busy, h)
		}
	}
	return busy, nil
}

func pids(held []cache.Held) string {
	var s []string
	for _, h := range held {
		s = append(s, fmt.Sprint(h.Owner.PID))
	}
	return "process " + strings.Join(s, ", ")
}

// askHandOver asks the process to end, which it does if its mount is gone.
// Whether it has is seen by its journal.
func askHandOver(ctx context.Context, pid int) {
	ctx, cancel := context.WithTimeout(ctx, handOverEnd)
	defer cancel()
	for _, dir := range runtimeDirs(os.Getenv, os.Getuid()) {
		c, err := dialControl(ctx, filepath.Join(dir, fmt.Sprintf("%s%d%s", drainPrefix, pid, socketExt)))
		if err == nil {
			_, _ = c.do(ctx, cmdHandOver, nil)
		}
	}
}
