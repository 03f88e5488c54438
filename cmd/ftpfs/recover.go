package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"ftpfs/cache"

	"github.com/spf13/cobra"
)

func recoverCommand(std stdio) *cobra.Command {
	dir, to := defaultCacheDir(os.Getenv, os.Getuid()), ""
	c := &cobra.Command{
		Use:   "recover [--list | --to DIR]",
		Short: "List what did not reach its server, or move it to a folder",
		Long: `Lists what is in the cache folder and not on its server: what mounts have still to
upload, which goes up with the next mount of that server, and what a server
refused or a crash cut off, which stays in the recovery folder until it is moved.
With --to all of it, except what a running mount has, is moved to DIR instead.`,
		Args: exactly(0, "none"),
		RunE: func(*cobra.Command, []string) error {
			if dir == "" {
				return usagef("no folder for the cache, because $HOME is not set: give one with --cache-dir")
			}
			if to == "" {
				return listLeft(std.out, dir)
			}
			return handBack(std.out, dir, to)
		},
	}
	c.Flags().Bool("list", false, "list, which is the default")
	c.Flags().StringVar(&to, "to", "", "move what is there to `DIR`")
	c.Flags().StringVar(&dir, "cache-dir", dir, "the cache folder of the mounts")
	c.MarkFlagsMutuallyExclusive("list", "to")
	return c
}

func listLeft(out io.Writer, dir string) error {
	left, err := cache.Leftovers(dir, cache.Options{})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range left {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", l.Time.Local().Format(time.DateTime), l.Size, oneLine(l.Identity), oneLine(l.Path), oneLine(whyLeft(l)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err != nil {
		return failf("not all of the cache folder %s can be read: %v", dir, err)
	}
	return nil
}

// whyLeft says why l is not on its server.
func whyLeft(l cache.Left) string {
	why := reasonOf(l)
	if l.Missing > 0 {
		why += fmt.Sprintf("; %d bytes of it were never here and are zeros", l.Missing)
	}
	return why
}

func reasonOf(l cache.Left) string {
	switch {
	case l.Local:
		return "stays on this machine"
	case l.Reason != "":
		return l.Reason
	case l.Mounted:
		return "waits for its upload"
	}
	return "goes up with the next mount"
}

func handBack(out io.Writer, dir, to string) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return failf("cannot find out the working directory: %v", err)
	}
	if st, err := os.Stat(to); err != nil || !st.IsDir() {
		return failf("%s is no folder: make it first", to)
	}
	err = cache.HandBack(dir, to, cache.Options{}, func(_ cache.Left, file string) { fmt.Fprintln(out, oneLine(file)) })
	if err != nil {
		return failf("not all could be moved: %v", err)
	}
	return nil
}
