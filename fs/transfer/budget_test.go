package transfer_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// budget is what an operation may cost, in round trips: DESIGN.md has the
// table. The network takes time and nothing else does, so that it is exact.
type budget struct {
	name  string
	trips float64
	ready func(r *rig) // not counted
	run   func(r *rig)
}

// TestBudget is also make bench, which prints the table.
func TestBudget(t *testing.T) {
	const rtt = 20 * time.Millisecond
	for _, b := range budgets() {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, ftptest.WithNetwork(ftptest.NewNetwork(rtt)))
				r.unmount()
				r.how.Prefetch = 8 << 20
				r.mount(8)
				b.ready(r)
				settle()
				r.srv.ResetLog()
				began := time.Now()
				b.run(r)
				trips := float64(time.Since(began)) / float64(rtt)
				verbs := make(map[string]int)
				for _, c := range r.srv.Log() {
					verbs[c.Verb]++
				}
				t.Logf("%-46s %6.1f round trips, at most %6.1f   %v", b.name, trips, b.trips, verbs)
				if trips > b.trips {
					t.Errorf("%.1f round trips are over the budget of %.1f", trips, b.trips)
				}
			})
		})
	}
}

const budgetBig = 1 << 30 // bytes of /big; it takes no room

func budgets() []budget {
	list := func(r *rig) {
		r.put("f", random(4000))
		r.zeros("big", budgetBig)
		if _, err := r.tree.List(r.Context(), "/"); err != nil {
			r.Fatal(err)
		}
	}
	small := func(r *rig) {
		for i := range 300 {
			r.put(fmt.Sprintf("small/f%03d", i), random(4096))
		}
		if _, err := r.tree.List(r.Context(), "/small"); err != nil {
			r.Fatal(err)
		}
	}
	full := func(r *rig) {
		for i := range 100 {
			r.put(fmt.Sprintf("top/d%d/f%d", i/10, i%10), random(10))
		}
		if _, err := r.tree.List(r.Context(), "/"); err != nil {
			r.Fatal(err)
		}
	}
	// busy has all sessions open, as a mount that was used.
	busy := func(r *rig) {
		list(r)
		done := make(chan struct{})
		for i := range 7 {
			go func() {
				r.readAt("/big", int64(i)<<26)
				done <- struct{}{}
			}()
		}
		for range 7 {
			<-done
		}
		r.store.Forget("/big")
		if _, err := r.tree.List(r.Context(), "/"); err != nil {
			r.Fatal(err)
		}
	}
	return []budget{
		{"lookup in a cached listing, a name that is not there", 0, list, func(r *rig) {
			if _, err := r.tree.Lookup(r.Context(), "/f"); err != nil {
				r.Error(err)
			}
			if _, err := r.tree.Lookup(r.Context(), "/absent"); err == nil {
				r.Error("found what is not there")
			}
		}},
		{"open and read of a small file", 1, list, func(r *rig) { r.reads("/f", random(4000)) }},
		{"open and read of a copy that is here", 0, func(r *rig) { list(r); r.reads("/f", random(4000)) },
			func(r *rig) { r.reads("/f", random(4000)) }},
		{"open of a complete copy after a while", 2, func(r *rig) { list(r); r.reads("/f", random(4000)); time.Sleep(3 * time.Second) },
			func(r *rig) { r.reads("/f", random(4000)) }},
		{"head and tail of a big file", 3, list, func(r *rig) { r.readAt("/big", 0); r.readAt("/big", budgetBig-4096) }},
		{"50 random reads of a big file", 60, list, func(r *rig) {
			h := r.open("/big", transfer.How{})
			defer h.Release()
			rng := rand.New(rand.NewPCG(7, 7))
			buf := make([]byte, 4096)
			for range 50 {
				if n, err := h.ReadAt(r.Context(), buf, rng.Int64N(budgetBig-4096)); n != len(buf) || err != nil {
					r.Fatal(n, err)
				}
			}
		}},
		{"one read at a new place", 1, busy, func(r *rig) { r.readAt("/big", 777<<20) }},
		// 116 to 119, by the order in which goroutines run that become ready at one instant.
		{"rm -r of 11 directories with 100 files", 120, full, func(r *rig) { r.removeAll("/top") }},
		{"300 small files in turn", 121, small, func(r *rig) {
			for i := range 300 {
				r.reads(fmt.Sprintf("/small/f%03d", i), random(4096))
			}
		}},
	}
}

// removeAll does what rm -r does.
func (r *rig) removeAll(dir string) {
	entries, err := r.tree.List(r.Context(), dir)
	if err != nil {
		r.Fatal(err)
	}
	for _, e := range entries {
		p := dir + "/" + e.Name
		if e.Kind == conn.KindDir {
			r.removeAll(p)
		} else if err := r.m.Remove(r.Context(), p, nil); err != nil {
			r.Error(err)
		}
	}
	if err := r.m.Rmdir(r.Context(), dir); err != nil {
		r.Error(err)
	}
}

// readAt reads 4 KiB of the file at p.
func (r *rig) readAt(p string, off int64) {
	h := r.open(p, transfer.How{})
	defer h.Release()
	if n, err := h.ReadAt(r.Context(), make([]byte, 4096), off); n != 4096 || err != nil {
		r.Error(n, err)
	}
}
