package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lingerTime is how long the end of a download waits for the client to close
// its side. ProFTPD waits too, so that a 226 costs one round trip more there.
const lingerTime = 10 * time.Second

// transfer runs one data transfer and returns its final reply. After the data
// connection is open and opening was sent with 150, move does the work on it.
func (s *session) transfer(opening string, move func(net.Conn) Reply) Reply {
	if s.data == nil {
		return Reply{Code: 425, Text: "Unable to build data connection: Connection refused"}
	}
	data := s.data
	s.data = nil
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	final := make(chan Reply, 1)
	go func() { final <- s.onData(ctx, data, opening, move) }()
	return s.await(final, cancel)
}

// await returns the final reply of a transfer. Meanwhile commands are queued;
// an ABOR, or the client going away, ends the transfer. The ABOR is then
// answered in its turn.
func (s *session) await(final <-chan Reply, abort func()) Reply {
	lines := s.lines
	for {
		select {
		case r := <-final:
			return r
		case line, ok := <-lines:
			if !ok {
				lines = nil
				abort()
				continue
			}
			s.queue = append(s.queue, line)
			if strings.EqualFold(line, "ABOR") {
				abort()
			}
			if len(s.queue) == maxQueue {
				lines = nil
			}
		}
	}
}

// onData opens the data connection, announces the transfer, has move do it and
// closes the connection before the final reply goes out.
func (s *session) onData(ctx context.Context, data opener, opening string, move func(net.Conn) Reply) Reply {
	dialCtx, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	c, err := data.open(dialCtx)
	if err != nil {
		s.log.Debug("ftp data connection", "err", err)
		return Reply{Code: 425, Text: "Unable to build data connection: Connection refused"}
	}
	if w := s.srv.cfg.Hooks.WrapData; w != nil {
		c = w(s.id, c)
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { c.Close(); close(closed) })
	defer func() {
		if stop() {
			c.Close()
			return
		}
		<-closed
	}()
	if !s.reply(Reply{Code: 150, Text: opening}) {
		return Reply{Close: true}
	}
	private, refusal := s.protect(ctx, c)
	if refusal != nil {
		return *refusal
	}
	r := move(private)
	if r.Code == 226 {
		if err := linger(private, c); err != nil {
			return moved(err)
		}
	}
	return r
}

// linger ends our side of c, which is raw or TLS on it, and waits for the client
// to end its own, unless raw has no sides. A client that
// has gone by then is no error: what it did not want is not our concern.
func linger(c, raw net.Conn) error {
	type sided interface{ CloseWrite() error }
	w, ok := c.(sided)
	if _, waits := raw.(sided); !waits || !ok {
		c.Close()
		return nil
	}
	if err := w.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		return err
	}
	if c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.Copy(io.Discard, c)
	}
	return nil
}

// moved returns the final reply of a transfer that ended with err. The file's
// errors are told from the network's by their type, so the copying must not
// use the ReadFrom and WriteTo of os.File: they wrap both alike.
func moved(err error) Reply {
	var local *fs.PathError
	switch {
	case err == nil:
		return Reply{Code: 226, Text: "Transfer complete"}
	case !errors.As(err, &local):
		return Reply{Code: 426, Text: "Transfer aborted. Data connection closed"}
	case errors.Is(err, syscall.ENOSPC):
		return replyf(452, "Transfer aborted. %s", reason(err))
	case errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return replyf(552, "Transfer aborted. %s", reason(err))
	}
	return replyf(451, "Transfer aborted. %s", reason(err))
}

// opening returns the text of the 150 for what is transferred.
func (s *session) opening(what string) string {
	mode := "BINARY"
	if s.ascii {
		mode = "ASCII"
	}
	return fmt.Sprintf("Opening %s mode data connection for %s", mode, what)
}

// cmdRest sets the offset of the next RETR or STOR (RFC 3659, section 5).
func (s *session) cmdRest() Reply {
	n, err := strconv.ParseInt(s.arg, 10, 64)
	switch {
	case err != nil || n < 0:
		return Reply{Code: 501, Text: "REST requires a value greater than or equal to 0"}
	case n > 0 && s.ascii:
		return Reply{Code: 501, Text: "REST: Resuming transfers not allowed in ASCII mode"}
	}
	s.offset = n
	return replyf(350, "Restarting at %d. Send STORE or RETRIEVE to initiate transfer", n)
}

// takeOffset returns the offset of REST, which holds for one transfer.
func (s *session) takeOffset() int64 {
	n := s.offset
	s.offset = 0
	return n
}

func (s *session) cmdRetr() Reply {
	offset := s.takeOffset()
	fi, err := s.stat(s.arg)
	if errors.Is(err, fs.ErrNotExist) {
		fi, err = s.lstat(s.arg) // a link to nothing is no regular file
	}
	if err != nil {
		return s.refuse(s.arg, err)
	}
	if !fi.Mode().IsRegular() {
		return replyf(550, "%s: Not a regular file", s.arg)
	}
	f, err := s.srv.root.Open(s.name(s.arg))
	if err != nil {
		return s.refuse(s.arg, err)
	}
	defer f.Close()
	left := fi.Size() - offset
	if left < 0 {
		return replyf(554, "REST: invalid %s argument", s.arg)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return s.refuse(s.arg, err)
	}
	what := s.arg
	if left > 0 {
		what = fmt.Sprintf("%s (%d bytes)", s.arg, left)
	}
	return s.transfer(s.opening(what), func(c net.Conn) Reply {
		_, err := io.Copy(c, struct{ io.Reader }{f})
		return moved(err)
	})
}

func (s *session) cmdStor() Reply {
	s.arg = s.created(s.arg)
	offset := s.takeOffset()
	if offset > 0 {
		if fi, err := s.stat(s.arg); err != nil || fi.Size() < offset {
			return replyf(554, "REST: invalid %s argument", s.arg)
		}
	}
	return s.store(os.O_WRONLY|os.O_CREATE, func(f *os.File) error {
		if offset == 0 {
			return f.Truncate(0)
		}
		_, err := f.Seek(offset, io.SeekStart)
		return err
	})
}

// cmdAppe ignores an offset: APPE after REST is not defined (RFC 3659, 5.4).
func (s *session) cmdAppe() Reply {
	s.takeOffset()
	if s.srv.cfg.AppendOverwrites {
		return s.store(os.O_WRONLY|os.O_CREATE, func(f *os.File) error { return f.Truncate(0) })
	}
	return s.store(os.O_WRONLY|os.O_CREATE|os.O_APPEND, func(*os.File) error { return nil })
}

// store receives a file. The file is prepared only when there is a data
// connection: ProFTPD truncates it before, and loses it after a 425.
func (s *session) store(flag int, prepare func(*os.File) error) Reply {
	if fi, err := s.stat(s.arg); err == nil && !fi.Mode().IsRegular() {
		return replyf(550, "%s: Not a regular file", s.arg)
	}
	f, err := s.srv.root.OpenFile(s.name(s.arg), flag, 0o666)
	if err != nil {
		return s.refuse(s.arg, err)
	}
	defer f.Close()
	return s.transfer(s.opening(s.arg), func(c net.Conn) Reply {
		err := prepare(f)
		if err == nil {
			_, err = io.Copy(struct{ io.Writer }{f}, c)
		}
		return moved(errors.Join(err, f.Close()))
	})
}
