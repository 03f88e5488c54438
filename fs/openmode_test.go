package fs

import "testing"

// The pairs that the kernel refuses with EIO, or go-fuse cannot count.
var forbidden = map[[2]openMode]bool{
	{cached, passthrough}: true, {cached, passthroughDirect}: true,
	{direct, passthrough}: true, {direct, passthroughDirect}: true,
}

func TestOpenModesNeverMixWhatTheKernelRefuses(t *testing.T) {
	wants := []openMode{cached, direct, passthrough}
	for _, a := range wants {
		for _, b := range wants {
			for _, c := range wants {
				var m openModes
				got := []openMode{m.choose(a), m.choose(b), m.choose(c)}
				for _, x := range got {
					for _, y := range got {
						if forbidden[[2]openMode{x, y}] {
							t.Errorf("opens that want %v got %v", []openMode{a, b, c}, got)
						}
					}
				}
			}
		}
	}
}

func TestOpenModesChooseAgainWhenAllAreClosed(t *testing.T) {
	var m openModes
	if got := m.choose(passthrough); got != passthrough {
		t.Fatalf("first open: %v", got)
	}
	if got := m.choose(cached); got != passthroughDirect {
		t.Fatalf("beside passthrough: %v", got)
	}
	m.release(passthrough)
	if got := m.choose(passthrough); got != passthrough {
		t.Fatalf("beside passthroughDirect: %v", got)
	}
	m.release(passthrough)
	m.release(passthroughDirect)
	if got := m.choose(cached); got != cached {
		t.Fatalf("after all are closed: %v", got)
	}
	if got := m.choose(passthrough); got != cached {
		t.Fatalf("beside cached: %v", got)
	}
	m.release(cached)
	m.release(cached)
	if got := m.choose(passthrough); got != passthrough {
		t.Fatalf("after all are closed again: %v", got)
	}
}
