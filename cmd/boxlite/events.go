package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) eventsCommand() *cobra.Command {
	var since, until, format string
	var filters []string
	var follow bool
	c := &cobra.Command{
		Use:   "events [flags]",
		Short: "Print what is done to boxes, as it happens",
		Long: `Events prints what is done to the boxes of the home, by whichever process, as it
happens, until Ctrl-C or --until. With --since, --until or --follow=false it begins
with what has happened.

Events are kept in logs/audit.jsonl of the home. Arguments and environments of
commands are not.`,
		Example: `  boxlite events --since 1h
  boxlite events --filter type=stopped --filter type=failed --format json
  boxlite events --follow=false --filter box=web`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			now := time.Now()
			options := boxlite.EventOptions{Follow: follow}
			if follow && since == "" && until == "" {
				options.Since = now
			}
			if err := filterEvents(&options, filters); err != nil {
				return err
			}
			if err := errors.Join(parseTime("since", since, now, &options.Since), parseTime("until", until, now, &options.Until)); err != nil {
				return err
			}
			write := writeEventLine
			switch format {
			case "text":
			case "json":
				write = writeEventJSON
			default:
				return usagef("--format: %q is not a format that this command knows", format)
			}
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				for event, err := range rt.Events(c.Context(), options) {
					if err == nil {
						err = write(a.stdout, event)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&since, "since", "", "begin with what happened since `TIME`: 2026-01-31, 2026-01-31T12:00:00Z, seconds since 1970, or a duration ago, as 10m")
	c.Flags().StringVar(&until, "until", "", "end at `TIME`, given as for --since")
	c.Flags().StringArrayVarP(&filters, "filter", "f", nil, "print only events with `KEY=VALUE`: box=NAME or ID, type=TYPE; may be repeated")
	c.Flags().BoolVar(&follow, "follow", true, "wait for what happens next")
	c.Flags().StringVar(&format, "format", "text", "output format: text, json")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// filterEvents adds filters: of those with the same key one must fit, and of each
// key.
func filterEvents(o *boxlite.EventOptions, filters []string) error {
	for _, filter := range filters {
		key, value, _ := strings.Cut(filter, "=")
		switch {
		case value == "":
			return usagef("--filter: %q is not KEY=VALUE", filter)
		case key == "box":
			o.Boxes = append(o.Boxes, value)
		case key != "type":
			return usagef("--filter: %q is not box or type", key)
		case !slices.Contains(boxlite.EventTypes(), boxlite.EventType(value)):
			return usagef("--filter: no event has the type %q; there are %v", value, boxlite.EventTypes())
		default:
			o.Types = append(o.Types, boxlite.EventType(value))
		}
	}
	return nil
}

// parseTime reads the value of a flag into t: a point in time, or how long ago it
// was, as docker has it. Nothing is read from an empty one.
func parseTime(flag, text string, now time.Time, t *time.Time) error {
	if text == "" {
		return nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		*t = now.Add(-ago)
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if parsed, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			*t = parsed
			return nil
		}
	}
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err == nil && len(fraction) <= 9 {
		nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
		if err == nil {
			*t = time.Unix(seconds, int64(nanos))
			return nil
		}
	}
	return usagef("--%s: %q is not a time: use 2026-01-31, 2026-01-31T12:00:00Z, seconds since 1970, or how long ago, as 10m", flag, text)
}

// writeEventJSON prints an event as a line, as the log has it.
func writeEventJSON(w io.Writer, e boxlite.Event) error {
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	return to.Encode(e)
}

// writeEventLine prints an event as docker does: when, what, to which box, and
// what else there is to know.
func writeEventLine(w io.Writer, e boxlite.Event) error {
	var details []string
	add := func(key, value string) {
		if value != "" {
			details = append(details, key+"="+value)
		}
	}
	add("name", e.Name)
	add("previousName", e.PreviousName)
	add("image", shortImage(e.Image))
	add("command", e.Command)
	add("hostPath", e.HostPath)
	add("boxPath", e.BoxPath)
	add("isolation", e.Isolation)
	add("security", string(e.Security))
	if e.Exit != nil {
		add("reason", e.Exit.Reason)
		if e.Exit.Code >= 0 {
			add("exitCode", strconv.Itoa(e.Exit.Code))
		}
	}
	if d := e.Denial; d != nil {
		add("kind", d.Kind)
		add("to", d.Name)
		add("address", strings.Trim(d.Address+"/"+d.Protocol, "/"))
		add("rule", d.Rule)
		add("count", strconv.Itoa(d.Count))
	}
	add("error", e.Error)
	add("pid", strconv.Itoa(e.PID))
	_, err := fmt.Fprintf(w, "%s %s %s (%s)\n", e.Time.Local().Format("2006-01-02T15:04:05.000000000Z07:00"),
		printable(string(e.Type)), printable(e.Box), printable(strings.Join(details, ", ")))
	return err
}
