package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func statusCommand(std stdio) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status MOUNTPOINT",
		Short: "Show sessions, pending uploads and failures of a mount",
		Args:  exactly(1, "a mountpoint: ftpfs status MOUNTPOINT"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, release := untilSignal(c.Context())
			defer release()
			mnt, err := dialOrFail(ctx, args[0])
			if err != nil {
				return err
			}
			r, err := mnt.do(ctx, cmdStatus, nil)
			if err != nil || r.Status == nil {
				return failf("no status: %v", err)
			}
			if asJSON {
				e := json.NewEncoder(std.out)
				e.SetIndent("", "  ")
				return e.Encode(r.Status)
			}
			return r.Status.print(std.out)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func flushCommand(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "flush MOUNTPOINT",
		Short: "Wait until everything written is on the server",
		Args:  exactly(1, "a mountpoint: ftpfs flush MOUNTPOINT"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, release := untilSignal(c.Context())
			defer release()
			mnt, err := dialOrFail(ctx, args[0])
			if err != nil {
				return err
			}
			if _, err := mnt.do(ctx, cmdFlush, eachPending(std.err)); err != nil {
				return failf("not everything is on the server: %v; see ftpfs status %s", err, args[0])
			}
			return nil
		},
	}
}

func refreshCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "refresh PATH",
		Short: "Forget the listings of a mountpoint or of a path below one, to see changes made elsewhere at once",
		Args:  exactly(1, "a mountpoint or a path below one: ftpfs refresh PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, release := untilSignal(c.Context())
			defer release()
			mnt, below, err := dialAbove(ctx, args[0])
			if err != nil {
				return err
			}
			if _, err := mnt.ask(ctx, request{Command: cmdRefresh, Path: below}, nil); err != nil {
				return failf("the listings could not be refreshed: %v", err)
			}
			return nil
		},
	}
}

const manyFiles = 20 // that are listed for people; --json has all

// print writes the status for people. Control characters in names become
// blanks.
func (m *mountStatus) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	state := "mounted"
	if !m.Mounted {
		state = "unmounted, ends when its files are closed and uploaded,"
	} else if m.ReadOnly {
		state = "mounted read-only"
	}
	fmt.Fprintf(t, "server\t%s\n", m.URL)
	fmt.Fprintf(t, "mountpoint\t%s\n", m.Mountpoint)
	fmt.Fprintf(t, "state\t%s since %s\n", state, m.Since.Local().Format(time.DateTime))
	fmt.Fprintf(t, "process\t%d\n", m.PID)
	fmt.Fprintf(t, "sessions\t%d open, %d busy, at most %d\n", m.Sessions.Open, m.Sessions.Busy, m.Sessions.Limit)
	fmt.Fprintf(t, "copies\t%d files, %s in %s\n", m.Transfer.Copies, bytesText(m.Transfer.Bytes), m.CacheDir)
	if m.Log != "" {
		fmt.Fprintf(t, "log\t%s\n", m.Log)
	}
	fmt.Fprintf(t, "pending\t%d files\n", len(m.Transfer.Pending))
	for i, p := range m.Transfer.Pending {
		if i == manyFiles {
			fmt.Fprintf(t, "\tand %d more\n", len(m.Transfer.Pending)-i)
			break
		}
		fmt.Fprintf(t, "\t%s\n", oneLine(p))
	}
	fmt.Fprintf(t, "failures\t%d\n", len(m.Transfer.Failures))
	for _, f := range m.Transfer.Failures {
		fmt.Fprintf(t, "\t%s %s: %s\n", f.Time.Local().Format(time.DateTime), oneLine(f.Path), oneLine(f.Err))
	}
	return t.Flush()
}

// bytesText writes n bytes for people.
func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v /= 1024; v < 1024 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}
