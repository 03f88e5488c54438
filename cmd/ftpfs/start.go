package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/conn/ftp"
	"ftpfs/fs"
	"ftpfs/fs/transfer"
	"ftpfs/fs/tree"
)

// closers are undone last first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		errs = append(errs, (*c)[i]())
	}
	return errors.Join(errs...)
}

// start connects, takes over what is pending from earlier mounts and mounts.
// After a failure nothing is left.
func (m *mounting) start(log *slog.Logger) (_ *life, _ *controlServer, err error) {
	s, ctx := m.settings, m.stopping
	var undo closers
	defer func() {
		if err != nil {
			undo.close()
		}
	}()
	cfg := s.config(log)
	if cfg.TLS.Insecure {
		log.Warn("certificates are not checked (--tls-insecure): whoever is in between can read and change everything")
	}
	if s.TraceFile != "" {
		f, err := os.OpenFile(s.TraceFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, failf("cannot open the trace: %v; choose another --trace", err)
		}
		undo.add(f.Close)
		cfg.Trace = f
	}
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{Max: s.MaxConnections, Log: log})
	undo.add(pool.Close)
	if err := pool.Connect(ctx); err != nil {
		if !s.DelayConnect || !conn.IsAway(err) || ctx.Err() != nil {
			return nil, nil, connectError(cfg, err)
		}
		log.Info("mounting before the server can be reached", "error", err)
	}
	// The store first: it waits for uploads of others, which the listings must show.
	store, err := m.openStore(ctx, cfg.Identity(), log)
	if err != nil {
		return nil, nil, err
	}
	root, err := tree.New(ctx, pool, cfg.Path, s.treeOptions(log))
	if err != nil {
		return nil, nil, errors.Join(rootError(cfg, err), store.Close())
	}
	files, err := transfer.New(pool, root, store, s.transferOptions(log))
	if err != nil {
		err = failf("cannot take over what earlier mounts left in %s: %v", s.CacheDir, err)
		return nil, nil, errors.Join(err, store.Close())
	}
	undo.add(files.Close) // and the store
	control, err := listenControl(runtimeDirs(os.Getenv, os.Getuid()), os.Getuid(), s.Mountpoint, log)
	if err != nil {
		return nil, nil, err
	}
	mnt, err := fs.New(root, files, s.fsOptions(log))
	if err != nil {
		control.close()
		return nil, nil, failf("cannot mount at %s: %v; %s", s.Mountpoint, err, mountAdvice())
	}
	pool.Spare(2) // who opens a file right after looking at a directory need not wait for a login
	return &life{
		settings: s, identity: cfg.Identity(), mountID: store.ID(), since: time.Now(), log: log,
		stopper: m.stopper, terminal: m.terminal, onGone: control.draining,
		mnt: mnt, files: files, sessions: pool, release: undo.close,
		gone: make(chan struct{}), idle: make(chan struct{}), ended: make(chan struct{}),
	}, control, nil
}

// openStore opens the cache for the server and tells of what waits in it.
func (m *mounting) openStore(ctx context.Context, identity string, log *slog.Logger) (*cache.Store, error) {
	s := m.settings
	size := int64(s.CacheSize)
	if size == 0 {
		size = cache.FitSize(s.CacheDir)
	}
	store, err := cache.Open(s.CacheDir, identity, cache.Options{CacheSize: size, Log: log})
	if err != nil {
		return nil, failf("cannot use the cache folder %s: %v; choose another --cache-dir", s.CacheDir, err)
	}
	err = store.SetOwner(os.Getpid(), s.Mountpoint)
	if err == nil {
		err = m.awaitOthers(ctx, store)
	}
	var others []cache.PendingIdentity
	if err == nil {
		others, err = store.OtherIdentities()
	}
	if err != nil {
		return nil, errors.Join(failf("cannot use the cache folder %s: %v; choose another --cache-dir", s.CacheDir, err), store.Close())
	}
	if len(others) > 0 {
		m.notice(othersLine(others))
	}
	return store, nil
}

// othersLine names the servers that have files waiting for them.
func othersLine(others []cache.PendingIdentity) string {
	line := "files wait for other servers and go up when those are mounted: "
	for i, o := range others {
		if i > 0 {
			line += ", "
		}
		line += fmt.Sprintf("%d for %s", o.Pending, o.Identity)
	}
	return line
}

func (s *settings) transferOptions(log *slog.Logger) transfer.Options {
	o := transfer.Options{ReadAhead: int64(s.ReadAhead), Prefetch: int64(s.Prefetch), Direct: s.Upload == uploadDirect, Retry: s.Retry, Local: s.LocalOnly, Log: log}
	if s.Write == writeBack {
		o.Write = transfer.WriteBack
	}
	switch s.OnConflict {
	case conflictOverwrite:
		o.Conflict = transfer.Overwrite
	case conflictFail:
		o.Conflict = transfer.Fail
	}
	return o
}

// treeOptions translates the settings.
func (s *settings) treeOptions(log *slog.Logger) tree.Options {
	symlinks := map[string]tree.Symlinks{"follow": tree.FollowSymlinks, "raw": tree.RawSymlinks}
	return tree.Options{
		TTL: s.listingAge(), Stale: s.StaleIfError, Symlinks: symlinks[s.Symlinks], Delay: s.DelayConnect, Log: log,
	}
}

// fsOptions translates the settings.
func (s *settings) fsOptions(log *slog.Logger) fs.Options {
	name := s.FSName
	if name == "" {
		name = s.Server.Redacted()
	}
	return fs.Options{
		Mountpoint: s.Mountpoint, FSName: name,
		UID: uint32(s.UID), GID: uint32(s.GID), Umask: iofs.FileMode(*s.Umask),
		FileMode: fileMode(s.FileMode), DirMode: fileMode(s.DirMode),
		AllowOther: s.AllowOther, ReadOnly: s.ReadOnly, Poll: s.Poll, MountOptions: s.MountOptions,
		Log: log, Debug: s.level() <= slog.LevelDebug,
	}
}

func fileMode(bits *uint32) *iofs.FileMode {
	if bits == nil {
		return nil
	}
	m := iofs.FileMode(*bits)
	return &m
}
