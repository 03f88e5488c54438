package transfer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

const walkRTT = 20 * time.Millisecond

// walking runs test on a server 20 ms away that has n small files in /d, on a
// mount that fetches files ahead, in virtual time.
func walking(t *testing.T, n int, budget int64, test func(r *rig, name func(i int) string, content func(i int) []byte)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ftptest.WithNetwork(ftptest.NewNetwork(walkRTT)))
		r.unmount()
		r.how.Prefetch = budget
		r.mount(8)
		name := func(i int) string { return fmt.Sprintf("d/f%03d", i) }
		content := func(i int) []byte { return random(4000 + i) }
		for i := range n {
			r.put(name(i), content(i))
		}
		test(r, name, content)
	})
}

// A program that reads the files of a directory in turn does not wait for each.
func TestWalkFindsTheNextFilesThere(t *testing.T) {
	const n = 60
	walking(t, n, 8<<20, func(r *rig, name func(int) string, content func(int) []byte) {
		began := time.Now()
		for i := range n {
			r.reads("/"+name(i), content(i))
		}
		if took, alone := time.Since(began), n*3*walkRTT; took > time.Duration(alone)/2 {
			t.Errorf("%d files took %v, want at most half of the %v that they take one after the other", n, took, time.Duration(alone))
		}
		if got := r.srv.Count("RETR"); got != n {
			t.Errorf("%d RETR of %d files", got, n)
		}
		time.Sleep(time.Second) // until the server's last word about each
		if s := r.m.Status().Ahead; s.Files < n-10 || s.Read != s.Files {
			t.Errorf("fetched ahead: %+v", s)
		}
	})
}

// A walk that stops has little fetched for nothing, and soon nothing runs for it.
func TestWalkThatStops(t *testing.T) {
	const n, read = 200, 5
	walking(t, n, 8<<20, func(r *rig, name func(int) string, content func(int) []byte) {
		for i := range read {
			r.reads("/"+name(i), content(i))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before := r.srv.Count("RETR")
		if before > read+20 {
			t.Errorf("%d RETR after %d files were read", before, read)
		}
		r.reads("/"+name(100), content(100))
		time.Sleep(10 * time.Second)
		if got := r.srv.Count("RETR"); got != before+1 {
			t.Errorf("%d RETR for one file elsewhere", got-before)
		}
	})
}

// Never more than the bytes allowed are here without having been read.
func TestWalkKeepsToItsBytes(t *testing.T) {
	walking(t, 50, 10000, func(r *rig, name func(int) string, content func(int) []byte) {
		for i := range 10 {
			r.reads("/"+name(i), content(i))
			time.Sleep(time.Second)
			if s := r.m.Status().Ahead; s.Files-s.Read > 2 {
				t.Errorf("after %d files %d are here unread: more than 10000 bytes", i+1, s.Files-s.Read)
			}
		}
		if s := r.m.Status().Ahead; s.Read < 5 {
			t.Errorf("fetched ahead: %+v", s)
		}
	})
}

func TestWalkWithoutPrefetch(t *testing.T) {
	walking(t, 10, 0, func(r *rig, name func(int) string, content func(int) []byte) {
		for i := range 5 {
			r.reads("/"+name(i), content(i))
		}
		time.Sleep(time.Second)
		if got := r.srv.Count("RETR"); got != 5 {
			t.Errorf("%d RETR of 5 files", got)
		}
	})
}

// Who reads something else beside a walk does not wait behind it.
func TestWalkIsInNobodysWay(t *testing.T) {
	const n = 100
	walking(t, n, 8<<20, func(r *rig, name func(int) string, content func(int) []byte) {
		want := random(100 << 10)
		r.put("other", want)
		for i := range 10 {
			r.reads("/"+name(i), content(i))
		}
		r.within(20*walkRTT, "a read beside a walk", func() { r.reads("/other", want) })
	})
}

// What changed since it was fetched ahead is read as it is now.
func TestFileThatChangedAfterItWasFetchedAhead(t *testing.T) {
	walking(t, 20, 8<<20, func(r *rig, name func(int) string, content func(int) []byte) {
		for i := range 4 {
			r.reads("/"+name(i), content(i))
		}
		time.Sleep(5 * time.Second)
		r.put(name(5), []byte("another version"))
		r.reads("/"+name(5), []byte("another version"))
		h := r.open("/"+name(6), transfer.How{})
		r.handleReads(h, content(6))
		h.Release()
	})
}
