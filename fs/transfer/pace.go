package transfer

import (
	"sync"
	"time"
)

const (
	unknownReach = 512 << 10 // until the server's speed is known
	leastReach   = 128 << 10
	mostReach    = 8 << 20
	paceSample   = 256 << 10 // bytes in a row from which the speed is learned
)

// pace is what is known of the way to the server: how long it takes until the
// first byte of a transfer is here, and how many bytes a second follow.
type pace struct {
	mu      sync.Mutex
	latency time.Duration // 0: not known yet; guarded by mu
	rate    float64       // bytes a second; 0: not known yet; guarded by mu
}

// began notes that the first byte came after d.
func (p *pace) began(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latency == 0 {
		p.latency = d
	}
	p.latency += (d - p.latency) / 4
}

// got notes that n bytes came in d, one behind the other.
func (p *pace) got(n int64, d time.Duration) {
	if n < paceSample || d <= 0 {
		return
	}
	rate := float64(n) / d.Seconds()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate == 0 {
		p.rate = rate
	}
	p.rate += (rate - p.rate) / 4
}

// reach is how far ahead of a stream a reader may be and still wait for it: as
// long as that takes no longer than a transfer of its own would take to begin.
func (p *pace) reach() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate == 0 || p.latency == 0 {
		return unknownReach
	}
	return min(mostReach, max(leastReach, int64(p.rate*p.latency.Seconds())))
}

// flow measures one transfer.
type flow struct {
	pace  *pace
	began time.Time // the transfer
	since time.Time // bytes came one behind the other since; zero: none have come
	bytes int64     // that came since, without the first ones
}

// got notes that n bytes have come.
func (f *flow) got(n int) {
	now := time.Now()
	if f.since.IsZero() {
		if !f.began.IsZero() {
			f.pace.began(now.Sub(f.began))
		}
		f.began, f.since = time.Time{}, now
		return
	}
	if f.bytes += int64(n); f.bytes >= 4*paceSample {
		f.interrupted()
		f.since = now
	}
}

// interrupted says that what comes next was not sent as fast as it could be.
func (f *flow) interrupted() {
	if !f.since.IsZero() {
		f.pace.got(f.bytes, time.Since(f.since))
	}
	f.since, f.bytes = time.Time{}, 0
}
