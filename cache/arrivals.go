package cache

import (
	"context"
	"time"

	"ftpfs/conn"
)

// earlyLoad is a load that also hands out entries before all have come.
type earlyLoad = func(ctx context.Context, early func([]conn.Entry)) (conn.Listing, error)

// Arrivals are the entries of a listing that is still coming, for one reader.
type Arrivals struct {
	l    *Listings
	dir  string
	f    *flight
	seen int // entries that Next returned
}

// Open is Load for who can begin before all entries are there. It returns the
// listing if it is cached, else Arrivals, which the caller must Close.
func (l *Listings) Open(ctx context.Context, dir string, maxAge time.Duration, load earlyLoad) (*Dir, *Arrivals) {
	d, f := l.join(ctx, dir, maxAge, load)
	if d != nil {
		return d, nil
	}
	return nil, &Arrivals{l: l, dir: dir, f: f}
}

// Next waits for more entries than it has returned before, and returns all that
// have come, in the order of the server. Once the listing is complete it returns that instead: it can have
// entries more. An error of the load is final, that of ctx is not.
func (a *Arrivals) Next(ctx context.Context) (some Entries, all *Dir, err error) {
	for {
		a.l.mu.Lock()
		some, more := Entries{a.f.early}, a.f.more
		a.l.mu.Unlock()
		select {
		case <-a.f.done:
			return Entries{}, a.f.dir, a.f.err
		default:
		}
		if some.Len() > a.seen {
			a.seen = some.Len()
			return some, nil, nil
		}
		select {
		case <-a.f.done:
		case <-more:
		case <-ctx.Done():
			return Entries{}, nil, context.Cause(ctx)
		}
	}
}

// Current tells whether the listing is still coming and nothing has been
// changed since it began.
func (a *Arrivals) Current() bool {
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	return a.l.flights[a.dir] == a.f
}

// Dir returns the listing once all of it has come, else nil.
func (a *Arrivals) Dir() *Dir {
	select {
	case <-a.f.done:
		return a.f.dir
	default:
		return nil
	}
}

// Close leaves the load, which is cancelled if nobody else waits for it.
func (a *Arrivals) Close() {
	select {
	case <-a.f.done:
	default:
		a.l.leave(a.dir, a.f)
	}
}

// arrived notes entries that f has got.
func (l *Listings) arrived(f *flight, some []conn.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.early = f.packer.appendTo(f.early, some)
	close(f.more)
	f.more = make(chan struct{})
}
