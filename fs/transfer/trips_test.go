package transfer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// What closing a file costs in round trips, on a network where nothing else
// takes time: what is on the critical path of programs.
func TestRoundTripsOfWrites(t *testing.T) {
	const rtt = 20 * time.Millisecond
	for name, c := range map[string]struct {
		how  transfer.Options
		want int
		do   func(r *rig)
	}{
		"small file":         {transfer.Options{}, 3, func(r *rig) { r.save("/d/f", []byte("content")) }},
		"small file, direct": {transfer.Options{Direct: true}, 3, func(r *rig) { r.save("/d/f", []byte("content")) }},
		"new file, direct":   {transfer.Options{Direct: true}, 2, func(r *rig) { r.saveNew("/d/f", []byte("content")) }},
		"small file, back":   {transfer.Options{Write: transfer.WriteBack}, 0, func(r *rig) { r.save("/d/f", []byte("content")) }},
		"append": {transfer.Options{}, 3, func(r *rig) {
			if err := r.appendTo([]byte("line\n")); err != nil {
				r.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, ftptest.WithNetwork(ftptest.NewNetwork(rtt)))
				r.put("log", random(2<<20))
				r.put("d/x", nil)
				r.remount(8, c.how)
				r.save("/d/first", []byte("warm"))
				if err := r.appendTo([]byte("what the server does is known\n")); err != nil {
					t.Error(err)
				}
				r.drain()
				time.Sleep(2 * time.Second)
				r.open("/log", transfer.How{}).Release()
				r.open("/d/x", transfer.How{}).Release()
				synctest.Wait()
				r.srv.ResetLog()
				start := time.Now()
				c.do(r)
				if trips := float64(time.Since(start)) / float64(rtt); trips > float64(c.want)+0.1 {
					t.Errorf("%.1f round trips, want %d; %v", trips, c.want, r.srv.Log())
				}
				r.drain()
			})
		})
	}
}

// The first append of a mount to a server that nothing is known of.
func TestRoundTripsOfTheFirstAppend(t *testing.T) {
	const rtt = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ftptest.WithNetwork(ftptest.NewNetwork(rtt)))
		r.put("log", random(2<<20))
		time.Sleep(time.Second)
		start := time.Now()
		if _, err := r.tree.Lookup(t.Context(), "/log"); err != nil {
			t.Fatal(err)
		}
		if err := r.appendTo([]byte("line\n")); err != nil {
			t.Error(err)
		}
		if trips := float64(time.Since(start)) / float64(rtt); trips > 11.1 {
			t.Errorf("%.1f round trips; %v", trips, r.srv.Log())
		}
	})
}

// saveNew writes a file as cp does one that is not there: with O_EXCL.
func (r *rig) saveNew(p string, content []byte) {
	r.Helper()
	h, _, err := r.m.Create(r.Context(), p, 0o644, true, false)
	if err != nil {
		r.Fatal(err)
	}
	r.write(h, 0, content)
	r.flush(h)
	h.Release()
}
