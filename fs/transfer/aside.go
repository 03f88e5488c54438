package transfer

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"time"

	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// A file that is open, and of which much is only on the server, is put aside
// when it loses its name: under a temporary one, until nobody has it open. It may be
// removed as soon as it is known that it has lost its name, not before: a rename over it can fail.

// backWithin is how long moveBack may keep its caller, who may have no time left.
const backWithin = 10 * time.Second

// moveAside renames the open file at p on the server. Where that is refused,
// the file cannot lose its name: conn.ErrBusy.
func (f *File) moveAside(ctx context.Context, p string) error {
	temp := path.Join(path.Dir(p), tree.Temporary(f.m.store.ID()))
	v := f.m.moveNow(p, temp)
	defer f.m.endMove(v)
	err := f.m.tree.Rename(ctx, p, temp, false)
	switch {
	case err == nil:
	case conn.OutcomeOf(err) == conn.Unknown: // it may be there
		f.mu.Lock()
		e := f.entry
		f.mu.Unlock()
		f.m.spawn(func() {
			again(f.m.life, func() error {
				_, err := f.m.bringBack(f.m.life, temp, p, e, conn.Unknown)
				return err
			})
		})
		return err
	case conn.OutcomeOf(err) == conn.Refused && !errors.Is(err, fs.ErrNotExist):
		return &conn.Error{Op: "RNTO", Path: p, Outcome: conn.Refused, Err: conn.ErrBusy}
	default:
		return err
	}
	f.m.orphan(f, p)
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path = temp
	f.m.asides[f] = struct{}{}
	return nil
}

// leaveAside has the file that was put aside removed when nobody has it open
// any more, or else by the next mount.
func (f *File) leaveAside() {
	f.m.logged(f.store.Temp(f.currentPath()))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aside = true
}

// moveBack takes moveAside back after a rename over f, at p, that had the outcome
// o, unless that has come about. While the server cannot be reached it goes on trying.
func (f *File) moveBack(ctx context.Context, p string, o conn.Outcome) {
	_, done := f.keepOpen()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	err := f.tryBack(ctx, path.Base(p), o)
	if err == nil {
		done()
		return
	}
	f.m.log.Warn("a file that was not replaced in the end is on the server under another name until it can be brought back",
		"path", p, "name", f.currentPath(), "error", err)
	if !f.m.spawn(func() {
		defer done()
		again(f.m.life, func() error { return f.tryBack(f.m.life, path.Base(p), conn.Unknown) })
	}) {
		done()
	}
}

// tryBack is one try of moveBack to name.
func (f *File) tryBack(ctx context.Context, name string, o conn.Outcome) error {
	f.mu.Lock()
	temp, e := f.path, f.entry
	f.mu.Unlock()
	p := path.Join(path.Dir(temp), name)
	v := f.m.moveNow(temp, p)
	defer f.m.endMove(v)
	back, err := f.m.bringBack(ctx, temp, p, e, o)
	if err != nil {
		return err
	} else if !back {
		f.leaveAside()
		return nil
	}
	f.m.mu.Lock()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.m.asides, f)
	f.path = p
	if f.m.files[p] == nil {
		f.unlinked = false
		f.m.files[p] = f
	}
	f.m.mu.Unlock()
	if f.dirty && !f.unlinked {
		f.m.logged(f.store.Dirty(p, f.copy))
		f.m.tree.Show(p, f.entry)
		f.askLocked()
		f.queueLocked()
	}
	return nil
}

// moveNow begins a rename of an open file: who reads it waits to know where it is.
func (m *Manager) moveNow(from, to string) *move {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.moveNowLocked(from, to)
	v.asked = true
	return v
}

// bringBack renames temp, as which e was put aside, back to p, after a command
// that had the outcome o. back is false if there is nothing to bring back, or something is at
// p; an error is one that another try may not meet.
func (m *Manager) bringBack(ctx context.Context, temp, p string, e conn.Entry, o conn.Outcome) (back bool, err error) {
	if o == conn.Unknown { // the server can still be about to do it
		if err := sleep(ctx, cutLate); err != nil {
			return false, err
		}
	}
	err = m.tree.Return(ctx, temp, p, e)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// again runs do until it succeeds or ctx ends.
func again(ctx context.Context, do func() error) {
	for pause := firstRetry; do() != nil && sleep(ctx, pause) == nil; pause = min(2*pause, lastRetry) {
	}
}
