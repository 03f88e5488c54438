package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ftpfs/fs"

	"github.com/spf13/cobra"
)

func umountCommand(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "umount MOUNTPOINT",
		Short: "Upload what is pending and unmount",
		Args:  exactly(1, "a mountpoint: ftpfs umount MOUNTPOINT"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, release := untilSignal(c.Context())
			defer release()
			return umount(ctx, args[0], std)
		},
	}
}

// umount ends the mount at dir and returns when it is gone and all its files
// are on the server.
func umount(ctx context.Context, dir string, std stdio) error {
	dir, err := resolveMountpoint(dir)
	if err != nil {
		return err
	}
	at, err := mountedAt(dir)
	if err != nil {
		return err
	}
	c, err := dialMount(ctx, mountDirs(at), dir)
	if err != nil {
		return umountWithoutProcess(ctx, dir, at, std)
	}
	last, err := c.do(ctx, cmdUmount, eachPending(std.err))
	switch {
	case ctx.Err() != nil:
		return failf("interrupted: %s is still being unmounted, see ftpfs status %s", dir, dir)
	case err != nil:
		return failf("%v", err)
	case last.Note != "":
		noticeTo(std.err)(last.Note)
	}
	return nil
}

// umountWithoutProcess unmounts where no process answers on a control socket.
func umountWithoutProcess(ctx context.Context, dir string, at *mount, std stdio) error {
	if at == nil {
		return failf("nothing is mounted at %s: check the path", dir)
	}
	if !at.isOurs() {
		return failf("%s is not an ftpfs mount: unmount it with what mounted it", dir)
	}
	dead, err := fs.DetachDead(dir)
	if err != nil {
		return failf("the dead mount at %s cannot be detached (%v): fusermount3 -uz %s", dir, err, dir)
	}
	if dead {
		return nil
	}
	if err := unmountByHelper(ctx, dir); err != nil {
		return err
	}
	noticeTo(std.err)("unmounted, but no process answered: what it has not uploaded goes up with the next mount of its server")
	return nil
}

// mountDirs returns where the control socket of a mount can be: the folders of
// this user and, for root, those of the mount's owner.
func mountDirs(at *mount) []string {
	uid := os.Getuid()
	dirs := runtimeDirs(os.Getenv, uid)
	if at != nil && at.uid >= 0 && at.uid != uid {
		theirs := func(name string) string {
			if name == "XDG_RUNTIME_DIR" {
				return fmt.Sprintf("/run/user/%d", at.uid)
			}
			return ""
		}
		dirs = append(dirs, runtimeDirs(theirs, at.uid)...)
	}
	return dirs
}

// eachPending shows the progress of a command, if w is a terminal.
func eachPending(w io.Writer) func(response) {
	show := terminalProgress(w, leaveHint)
	if show == nil {
		return nil
	}
	return func(r response) {
		if r.Pending != nil {
			show(*r.Pending)
		}
	}
}

// dialOrFail connects to the mount at dir for commands that need its process.
func dialOrFail(ctx context.Context, dir string) (*control, error) {
	dir, err := resolveMountpoint(dir)
	if err != nil {
		return nil, err
	}
	at, err := mountedAt(dir)
	if err != nil {
		return nil, err
	}
	c, err := dialMount(ctx, mountDirs(at), dir)
	if errors.Is(err, errNoControl) && at == nil {
		return nil, failf("nothing is mounted at %s: check the path", dir)
	}
	if err != nil {
		return nil, failf("no ftpfs process answers for %s: was it mounted by another user, or is it dead?", dir)
	}
	return c, nil
}

// dialAbove is dialOrFail for the mountpoint that path is below, or is; below
// is the way from there, "" for the mountpoint itself.
func dialAbove(ctx context.Context, path string) (c *control, below string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, "", failf("cannot find out the working directory: %v", err)
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		real, err := resolveMountpoint(dir) // fails where dir is gone
		if err == nil {
			if c, err := dialOrFail(ctx, real); err == nil {
				return c, strings.TrimPrefix(path[len(dir):], "/"), nil
			}
		}
		if dir == "/" {
			c, err := dialOrFail(ctx, path)
			return c, "", err
		}
	}
}
