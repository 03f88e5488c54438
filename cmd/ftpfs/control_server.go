package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	maxRequest   = 16 << 10        // bytes of a request line
	requestTime  = 5 * time.Second // to send it
	responseTime = 5 * time.Second // to take one response
	socketWait   = 2 * time.Second // for the socket of a process that is about to end
)

// controlled is the mount behind a control socket.
type controlled interface {
	status() mountStatus
	// flush uploads what is pending. progress gets the number of files left.
	flush(ctx context.Context, progress func(pending int)) error
	// refresh forgets listings: of path, below the mountpoint, or if that is "" all.
	refresh(path string)
	// umount flushes, unmounts and returns when the mount is gone and its
	// sessions are closed; note is a line for the user if that is not yet so.
	umount(ctx context.Context, progress func(pending int)) (note string, err error)
	// handOver ends the process at once, if its mount is gone.
	handOver(ctx context.Context) error
}

// controlServer answers on the control socket of one mount.
type controlServer struct {
	listener *net.UnixListener
	log      *slog.Logger
	ctx      context.Context // of the requests
	cancel   context.CancelFunc
	running  sync.WaitGroup // the accept loop and the requests

	mu    sync.Mutex
	path  string                // guarded by mu
	conns map[net.Conn]struct{} // that have not sent their request; guarded by mu
}

// listenControl creates the socket for mountpoint in the first of dirs where
// that is possible. It takes over the socket of a process that is dead.
func listenControl(dirs []string, uid int, mountpoint string, log *slog.Logger) (*controlServer, error) {
	var errs []error
	for _, dir := range dirs {
		path := filepath.Join(dir, mountName(mountpoint)+socketExt)
		l, err := listenIn(dir, uid, path)
		if errors.Is(err, os.ErrNotExist) { // another mount has just removed the folder
			l, err = listenIn(dir, uid, path)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		return &controlServer{listener: l, log: log, ctx: ctx, cancel: cancel, path: path, conns: map[net.Conn]struct{}{}}, nil
	}
	return nil, failf("cannot create the control socket: %v", errors.Join(errs...))
}

func listenIn(dir string, uid int, path string) (*net.UnixListener, error) {
	if err := makeRuntimeDir(dir, uid); err != nil {
		return nil, err
	}
	removeDead(dir)
	return listenUnix(path)
}

// removeDead removes the sockets of processes that were killed while they were
// draining: nobody else takes their names over.
func removeDead(dir string) {
	sockets, _ := filepath.Glob(filepath.Join(dir, drainPrefix+"*"+socketExt))
	for _, socket := range sockets {
		c, err := net.Dial("unix", socket)
		switch {
		case err == nil:
			c.Close()
		case errors.Is(err, syscall.ECONNREFUSED):
			_ = os.Remove(socket) // or another mount does
		}
	}
}

// listenUnix listens at path, mode 0600. The folder is the user's own, so that
// nobody can connect before the mode is set.
func listenUnix(path string) (*net.UnixListener, error) {
	address := &net.UnixAddr{Name: path, Net: "unix"}
	deadline := time.Now().Add(socketWait)
	for {
		l, err := net.ListenUnix("unix", address)
		if err == nil {
			// The path may belong to another process by the time of Close.
			l.SetUnlinkOnClose(false)
			if err = os.Chmod(path, 0o600); err != nil {
				return nil, errors.Join(err, l.Close(), os.Remove(path))
			}
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
		if c, dialErr := net.DialUnix("unix", nil, address); dialErr == nil {
			c.Close()
			if time.Now().After(deadline) {
				return nil, fmt.Errorf("another ftpfs answers at %s", path)
			}
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
}

// serve answers requests in the background until close.
func (s *controlServer) serve(c controlled) {
	s.running.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					s.log.Warn("the control socket has failed", "err", err)
				}
				return
			}
			s.running.Go(func() { s.answer(conn, c) })
		}
	})
}

// draining gives the socket another name, so that a new mount at the same
// mountpoint can have one.
func (s *controlServer) draining() {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(filepath.Dir(s.path), fmt.Sprintf("%s%d%s", drainPrefix, os.Getpid(), socketExt))
	if err := os.Rename(s.path, path); err != nil {
		s.log.Warn("cannot rename the control socket", "err", err)
		return
	}
	s.path = path
}

// close removes the socket, and its folder if it was the last one, ends
// requests that wait and returns when all have been answered. It may be called only when umount requests are about to end.
func (s *controlServer) close() error {
	s.cancel()
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	err = errors.Join(err, os.Remove(s.path))
	_ = os.Remove(filepath.Dir(s.path)) // fails if other mounts use it
	s.mu.Unlock()
	s.running.Wait()
	return err
}

// answer serves one connection.
func (s *controlServer) answer(c net.Conn, m controlled) {
	defer c.Close()
	req, err := s.readRequest(c)
	if err != nil {
		s.log.Debug("bad control request", "err", err)
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.running.Go(func() { // notices that the client is gone
		defer cancel()
		var one [1]byte
		c.Read(one[:])
	})
	send := func(r response) {
		c.SetWriteDeadline(time.Now().Add(responseTime))
		if err := json.NewEncoder(c).Encode(r); err != nil {
			cancel()
		}
	}
	last := s.execute(ctx, m, req, send)
	last.Done = last.Error == ""
	send(last)
}

// readRequest reads the request line. close ends it.
func (s *controlServer) readRequest(c net.Conn) (request, error) {
	s.mu.Lock()
	closed := s.ctx.Err() // set before close looks at conns
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	var req request
	if closed != nil {
		return req, closed
	}
	c.SetReadDeadline(time.Now().Add(requestTime))
	line, err := bufio.NewReaderSize(c, maxRequest).ReadSlice('\n')
	if err != nil {
		return req, err
	}
	c.SetReadDeadline(time.Time{})
	return req, json.Unmarshal(line, &req)
}

// execute runs a command and returns its last response.
func (s *controlServer) execute(ctx context.Context, m controlled, req request, send func(response)) (last response) {
	fail := func(err error) {
		if err != nil {
			last.Error = oneLine(err.Error())
		}
	}
	progress := func(pending int) { send(response{Pending: &pending}) }
	switch req.Command {
	case cmdStatus:
		st := m.status()
		last.Status = &st
	case cmdFlush:
		fail(m.flush(ctx, progress))
	case cmdRefresh:
		m.refresh(req.Path)
	case cmdUmount:
		note, err := m.umount(ctx, progress)
		last.Note = note
		fail(err)
	case cmdHandOver:
		fail(m.handOver(ctx))
	default:
		last.Error = fmt.Sprintf("unknown command %q", req.Command)
	}
	return last
}
