package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// errNoControl says that no process answers for a mountpoint.
var errNoControl = errors.New("no ftpfs process answers")

// askTime is how long a process may take for a status.
const askTime = 5 * time.Second

// control is a connection to the control socket of a mount.
type control struct{ conn net.Conn }

// dialMount connects to the process that has mounted, or had mounted and is
// still uploading for, mountpoint. errNoControl if there is none.
func dialMount(ctx context.Context, dirs []string, mountpoint string) (*control, error) {
	for _, dir := range dirs {
		c, err := dialControl(ctx, filepath.Join(dir, mountName(mountpoint)+socketExt))
		if err == nil {
			return c, nil
		}
	}
	for _, d := range findMounts(ctx, dirs, drainPrefix) {
		if d.status.Mountpoint == mountpoint {
			return dialControl(ctx, d.socket)
		}
	}
	return nil, errNoControl
}

func dialControl(ctx context.Context, socket string) (*control, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return &control{c}, nil
}

// do sends a command and hands each response to each (may be nil). It returns
// the last one once the command is done, and closes the connection.
func (c *control) do(ctx context.Context, command string, each func(response)) (response, error) {
	return c.ask(ctx, request{Command: command}, each)
}

// ask is do for a request that says more.
func (c *control) ask(ctx context.Context, req request, each func(response)) (response, error) {
	defer c.conn.Close()
	defer context.AfterFunc(ctx, func() { c.conn.Close() })()
	var r response
	err := json.NewEncoder(c.conn).Encode(req)
	responses := json.NewDecoder(c.conn)
	for err == nil {
		r = response{}
		if err = responses.Decode(&r); err != nil {
			break
		}
		if r.Error != "" {
			return r, errors.New(r.Error)
		}
		if r.Done {
			return r, nil
		}
		if each != nil {
			each(r)
		}
	}
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return r, fmt.Errorf("the ftpfs process ended before it answered (%w)", err)
}

// foundMount is a process that answered on its control socket.
type foundMount struct {
	socket string
	status mountStatus
}

// findMounts asks every process whose socket in dirs has a name that starts
// with prefix for its status.
func findMounts(ctx context.Context, dirs []string, prefix string) []foundMount {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var found []foundMount
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			continue // no mount of this user has been there
		}
		for _, f := range files {
			if !strings.HasPrefix(f.Name(), prefix) || filepath.Ext(f.Name()) != socketExt {
				continue
			}
			socket := filepath.Join(dir, f.Name())
			c, err := dialControl(ctx, socket)
			if err != nil {
				continue // left by a process that was killed
			}
			if r, err := c.do(ctx, cmdStatus, nil); err == nil && r.Status != nil {
				found = append(found, foundMount{socket, *r.Status})
			}
		}
	}
	return found
}
