package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache"
)

// held is another process's journal.
func held(pid, pending int, mountpoint string) cache.Held {
	return cache.Held{Owner: cache.Owner{PID: pid, Mountpoint: mountpoint}, Pending: pending}
}

// waiting returns a wait whose surroundings are simple: what is below /mnt is mounted.
func waiting(holders func() []cache.Held) (w *othersWait, notices *[]string, asked *[]int) {
	notices, asked = new([]string), new([]int)
	return &othersWait{
		held:     func() ([]cache.Held, error) { return holders(), nil },
		mounted:  func(dir string) bool { return strings.HasPrefix(dir, "/mnt/") },
		handOver: func(pid int) { *asked = append(*asked, pid) },
		notice:   func(line string) { *notices = append(*notices, line) },
		patience: 30 * time.Second,
	}, notices, asked
}

func TestOthersNeedNoWait(t *testing.T) {
	w, notices, _ := waiting(func() []cache.Held {
		return []cache.Held{held(1, 5, "/mnt/alive"), held(2, 0, "/gone/without/files")}
	})
	if err := w.run(t.Context()); err != nil || len(*notices) != 0 {
		t.Errorf("%v, %q", err, *notices)
	}
}

func TestOthersFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w, notices, asked := waiting(func() []cache.Held {
			if time.Since(start) < 10*time.Second {
				return []cache.Held{held(7, 2, "/gone")}
			}
			return nil
		})
		err := w.run(t.Context())
		if took := time.Since(start); err != nil || took < 10*time.Second || took > 11*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if len(*notices) != 1 || !strings.Contains((*notices)[0], "process 7") || len(*asked) != 0 {
			t.Errorf("told %q, asked %v", *notices, *asked)
		}
	})
}

func TestOthersAreAskedToHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		gone := false
		w, _, asked := waiting(func() []cache.Held {
			if gone {
				return nil
			}
			return []cache.Held{held(7, 2, "/gone")}
		})
		ask := w.handOver
		w.handOver = func(pid int) { ask(pid); gone = true }
		err := w.run(t.Context())
		if took := time.Since(start); err != nil || took < 30*time.Second || took > 31*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if len(*asked) != 1 || (*asked)[0] != 7 {
			t.Errorf("asked %v", *asked)
		}
	})
}

func TestOthersThatDoNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := waiting(func() []cache.Held { return []cache.Held{held(7, 2, "/gone")} })
		if err := w.run(t.Context()); err == nil || !strings.Contains(err.Error(), "process 7") {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestOthersLine(t *testing.T) {
	line := othersLine([]cache.PendingIdentity{{Identity: "me@a:21", Pending: 2}, {Identity: "me@b:21", Pending: 1}})
	if !strings.HasSuffix(line, "2 for me@a:21, 1 for me@b:21") {
		t.Error(line)
	}
}
