package ftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jlaffaye/ftp"

	"ftpfs/conn"
)

// Bounds of what is read of a download that was given up.
const (
	finishAtMost = 256 << 10 // bytes
	finishTime   = 700 * time.Millisecond
)

// Open implements conn.Session. ctx counts until the Download is read to its
// end or closed: its end breaks a Read that waits, and the session.
func (s *session) Open(ctx context.Context, path string, offset int64, base conn.Version) (conn.Download, error) {
	end, err := s.begin(ctx, "RETR", path)
	if err != nil {
		return nil, err
	}
	var found *question
	if base.State == conn.Present {
		found = s.ask(path)
		found.leads()
	}
	resp, err := s.lib.RetrFrom(path, uint64(max(offset, 0)))
	if err != nil {
		defer end()
		return nil, s.explain("RETR", path, s.transferError("RETR", path, err))
	}
	d := &download{s: s, path: path, resp: resp, end: end}
	if found == nil {
		return d, nil
	}
	e, err := found.entry()
	if err == nil && !e.Version().Same(base) {
		err = &conn.Error{Op: "RETR", Path: path, Outcome: conn.Refused, Err: conn.ErrConflict}
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// download is the data of a RETR.
type download struct {
	s    *session
	path string
	resp *ftp.Response
	end  func() // of the verb; called when err is set
	err  error  // what Read returns from now on
}

// Read implements conn.Download. At the end of the data it reads the server's
// reply: only that tells the end of the file from a cut connection.
func (d *download) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.resp.Read(p)
	if err == nil {
		return n, nil
	}
	closed := d.resp.Close()
	defer d.end() // the verb is over; ctx need not live until Close
	switch {
	case closed != nil:
		d.err = d.s.transferError("RETR", d.path, closed)
	case errors.Is(err, io.EOF):
		d.err = io.EOF
		return n, io.EOF
	default: // 226, but the data was cut on its way
		d.err = d.s.fail("RETR", d.path, err)
	}
	var e *conn.Error
	if errors.As(d.err, &e) && e.Outcome != conn.Refused && !errors.Is(e, io.ErrUnexpectedEOF) {
		e.Err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, e.Err)
	}
	return n, d.err
}

// Close implements conn.Download. Before the end of the data it gives the
// transfer up; whatever the server replies to that ends it.
func (d *download) Close() error {
	if d.s.product.diesEarly {
		d.finish()
	}
	if d.err != nil {
		return nil // it has ended
	}
	defer d.end()
	d.err = errClosed
	d.resp.Close() // its error is the server's view of what we did
	if broken := d.s.ctl.Err(); broken != nil {
		return at("RETR", d.path, conn.Unknown, broken)
	}
	return nil
}

// finish reads on, in case that little is left, which spares a server its
// trouble with the early end. If nothing comes, the session is dropped.
func (d *download) finish() {
	stop := time.AfterFunc(finishTime, func() { d.resp.SetDeadline(time.Now()) }).Stop
	defer stop()
	start, buf := time.Now(), make([]byte, 32<<10)
	for left := finishAtMost; d.err == nil && left > 0 && time.Since(start) < finishTime; {
		n, _ := d.Read(buf) // its error is d.err
		left -= n
	}
}

var errClosed = errors.New("the download is closed")
