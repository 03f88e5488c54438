package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest/server"
	"ftpfs/fs"

	"github.com/spf13/cobra"
)

func demoCommand(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "demo [MOUNTPOINT]",
		Short: "Mount a small FTP server of its own, to try things out",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exactly(1, "at most a mountpoint: ftpfs demo [MOUNTPOINT]")(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) (err error) {
			tmp, err := os.MkdirTemp("", "ftpfs-demo-")
			if err != nil {
				return failf("cannot create a folder for the demo: %v; set TMPDIR", err)
			}
			dir := filepath.Join(tmp, "mnt")
			if len(args) == 1 {
				dir = args[0]
			} else {
				err = os.Mkdir(dir, 0o700)
			}
			if err == nil {
				err = demo(c.Context(), tmp, dir, std)
			}
			// Remove, not RemoveAll: were the mountpoint in use still, nothing below it may be touched.
			if len(args) == 0 {
				if rmErr := os.Remove(dir); rmErr != nil {
					return errors.Join(err, failf("the demo's folder %s is left: %v", tmp, rmErr))
				}
			}
			return errors.Join(err, os.RemoveAll(tmp))
		},
	}
}

// demo serves a sample tree in tmp, mounts it at dir and returns when the
// mount has ended.
func demo(ctx context.Context, tmp, dir string, std stdio) error {
	root := filepath.Join(tmp, "server")
	if err := sampleTree(root); err != nil {
		return failf("cannot create the sample tree: %v", err)
	}
	s := defaultSettings()
	s.CacheDir, s.LogLevel, s.Foreground = filepath.Join(tmp, "cache"), "warn", true
	if err := s.finish(); err != nil {
		return err
	}
	var err error
	if s.Mountpoint, err = resolveMountpoint(dir); err != nil {
		return err
	}
	if err := checkMountpoint(s.Mountpoint, false, fs.DetachDead); err != nil {
		return err
	}
	password := rand.Text()
	srv, err := server.Listen("127.0.0.1:0", server.Config{Root: root, Users: map[string]string{"demo": password}})
	if err != nil {
		return failf("cannot start the demo's server: %v", err)
	}
	defer srv.Close()
	s.Server = portableConfig{Config: conn.Config{Host: "127.0.0.1", Port: srv.Addr().Port, User: "demo", Password: password, HasPassword: true}}

	m := newMounting(ctx, s, noticeTo(std.err))
	defer m.close()
	m.terminal = terminalProgress(std.err, stopHint)
	return m.foreground(std.err, func() error {
		exe, err := os.Executable()
		if err == nil {
			_, err = fmt.Fprintf(std.out, demoText, s.Server.Redacted(), s.Mountpoint, root, exe)
		}
		return err
	})
}

const demoText = `An FTP server with a small sample tree runs at
  %[1]s
and is mounted at
  %[2]s

Try in another terminal:
  cd %[2]s
  ls -lR
  cat README.txt
  echo hello > hello.txt
  cp -r music music-copy && mv music-copy/songs.txt . && rm -r music-copy
  sed -i s/small/tiny/ README.txt
  tar cf /tmp/all.tar . && tar tf /tmp/all.tar
  ls -l %[3]s    (what the server has now)
  %[4]s status %[2]s

Leave the folder, then end the demo with Ctrl-C here or with
  %[4]s umount %[2]s
It removes all that it made.
`

// sampleTree creates the files of the demo.
func sampleTree(root string) error {
	files := map[string]string{
		"README.txt":                                    "This is a small tree on an FTP server.\nChange it as you like: it is gone when the demo ends.\n",
		"music/songs.txt":                               "Air\nBolero\nClair de lune\n",
		"music/1899/pavane.txt":                         "slow, in G\n",
		"letters/2024/spring/may.txt":                   "Dear reader,\n\nthe lilac is out.\n",
		"letters/2024/autumn/oct.txt":                   "Dear reader,\n\nthe leaves are down.\n",
		"letters/names with blanks and umlauts äöü.txt": "Names are bytes, and these are UTF-8.\n",
		"empty.txt":                                     "",
	}
	day := time.Date(2024, time.May, 4, 12, 0, 0, 0, time.UTC)
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(path, day, day); err != nil {
			return err
		}
	}
	return nil
}
