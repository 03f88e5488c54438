package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

const (
	goneTime    = 2 * time.Second // for an unmounted file system to end, unless files in it are still open
	unmountTime = 10 * time.Second
)

// life is a mount from when it works to its end. It is what the control
// socket controls.
type life struct {
	settings *settings
	identity string // of the server
	mountID  string // names the journal
	since    time.Time
	log      *slog.Logger
	stopper  *stopper
	terminal func(pending int) // shows progress to a person; nil: nobody looks
	onGone   func()            // the mountpoint is free, and uploads may go on

	mnt interface {
		Wait()
		Unmount(context.Context) error
		Refresh(path string)
	}
	files interface {
		Drain(ctx context.Context, progress func(pending int)) error
		Flush(ctx context.Context, progress func(pending int)) error
		Status() transfer.Status
	}
	sessions interface {
		Status() conn.PoolStatus
		Connect(context.Context) error
	}
	release func() error // closes all of the above, after which the process ends

	gone      chan struct{} // closed when the kernel has let go of the mount
	unmounted atomic.Bool   // though files in it may still be open
	idle      chan struct{} // closed when the mount is gone or detached and nothing is pending, or nobody waits for it
	givenUp   bool          // the server could not be reached for an upload; used by run only
	ended     chan struct{} // closed when release is done
	result    error         // of run; valid once ended is closed
}

// run returns when the mount has ended, by whomever, and what was pending is
// on the server. Who ends it by a signal or a command does not wait for a
// server that cannot be reached, and a second signal ends it at once: then an
// error tells how many files stay in the journal.
func (l *life) run() error {
	go func() {
		l.mnt.Wait()
		close(l.gone)
	}()
	select {
	case <-l.gone:
		if n := len(l.files.Status().Pending); n > 0 {
			l.log.Info("unmounted, uploads go on", "pending", n)
		}
	case <-l.stopper.stopping.Done():
		l.drainReachable()
		l.unmount()
	}
	l.stopper.stop() // a signal from here on ends at once
	l.unmounted.Store(true)
	l.onGone()
	l.drain()
	if l.stopper.killed.Err() == nil {
		close(l.idle)
	}
	select {
	case <-l.gone:
	case <-l.stopper.killed.Done():
	}
	l.drain() // what was written to files that were open still
	pending := len(l.files.Status().Pending)
	l.result = l.release()
	if pending > 0 {
		l.result = errors.Join(failf("files that are not on the server yet: %d; they are kept in %s and go up with the next mount of this server",
			pending, l.settings.CacheDir), l.result)
	}
	close(l.ended)
	return l.result
}

// drainReachable uploads what is pending, as long as the server can be reached
// now and then.
func (l *life) drainReachable() {
	for {
		ctx, cancel := context.WithTimeout(l.stopper.killed, l.settings.Timeout)
		err := l.files.Drain(ctx, l.terminal)
		cancel()
		if err == nil || l.stopper.killed.Err() != nil {
			return
		}
		if err := l.sessions.Connect(l.stopper.killed); err != nil {
			l.log.Warn("what is pending is left to the next mount, for the server cannot be reached", "error", err)
			l.givenUp = true
			return
		}
	}
}

// drain uploads what is pending unless the stopper says that there is no time.
func (l *life) drain() {
	if l.givenUp {
		return
	}
	if err := l.files.Drain(l.stopper.killed, l.terminal); err != nil && l.stopper.killed.Err() == nil {
		l.log.Warn("not all files could be uploaded", "err", err)
	}
}

// unmount detaches the mountpoint, in spite of open files.
func (l *life) unmount() {
	ctx, cancel := context.WithTimeout(context.Background(), unmountTime)
	defer cancel()
	if err := l.mnt.Unmount(ctx); err != nil {
		l.log.Warn("cannot unmount", "mountpoint", l.settings.Mountpoint, "err", err)
	}
	select {
	case <-l.gone:
	case <-time.After(goneTime):
		l.log.Info("unmounted; files are still open, and work until they are closed")
	case <-l.stopper.killed.Done():
	}
}

// status implements controlled.
func (l *life) status() mountStatus {
	return mountStatus{
		PID:        os.Getpid(),
		URL:        l.settings.Server.Redacted(),
		Mountpoint: l.settings.Mountpoint,
		Identity:   l.identity,
		Mounted:    !l.unmounted.Load(),
		Since:      l.since.UTC().Truncate(time.Second),
		Uptime:     time.Since(l.since).Truncate(time.Millisecond).Seconds(),
		CacheDir:   l.settings.CacheDir,
		Log:        l.settings.LogFile,
		Sessions:   l.sessions.Status(),
		Transfer:   l.files.Status(),
		ReadOnly:   l.settings.ReadOnly,
	}
}

// flush implements controlled.
func (l *life) flush(ctx context.Context, progress func(pending int)) error {
	return l.files.Flush(ctx, progress)
}

// refresh implements controlled.
func (l *life) refresh(path string) { l.mnt.Refresh(path) }

// umount implements controlled.
func (l *life) umount(ctx context.Context, progress func(pending int)) (note string, err error) {
	l.stopper.stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reported := make(chan struct{})
	go func() { // for the progress only: run drains as well
		defer close(reported)
		_ = l.files.Drain(ctx, progress)
	}()
	defer func() {
		cancel()
		<-reported
	}()
	select {
	case <-l.ended:
		return "", l.result
	case <-l.idle:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case <-l.gone:
		<-l.ended
		return "", l.result
	default: // in spite of goneTime
		return "files of the mount are still open; its process ends when they are closed", nil
	}
}

// handOver implements controlled.
func (l *life) handOver(ctx context.Context) error {
	if !l.unmounted.Load() {
		return errors.New("it is mounted")
	}
	l.stopper.kill()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
