package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) inspectCommand() *cobra.Command {
	var format string
	var latest bool
	c := &cobra.Command{
		Use:   "inspect [flags] BOX|IMAGE...",
		Short: "Print all that is known of boxes or images",
		Long: `Inspect prints all that is known of boxes or images, as a list.

Besides json and yaml, --format takes a Go template, which is applied to each:
the names are those of the JSON. For boxes, .State.Status, .State.ExitCode,
.State.StartedAt, .State.Health.Status and .State.Health.FailingStreak are there
as well, and the function json.`,
		Example: `  boxlite inspect -f '{{.status}} {{.kernel}}' web`,
		Args: func(c *cobra.Command, args []string) error {
			if latest {
				return cobra.NoArgs(c, args)
			}
			return cobra.MinimumNArgs(1)(c, args)
		},
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				if latest {
					boxes, err := rt.List(c.Context())
					if err != nil {
						return err
					}
					if len(boxes) == 0 {
						return &boxlite.Error{
							Kind: boxlite.ErrNotFound, Op: "look up the latest box", Err: errors.New("there is none"),
							Hint: "make one with: boxlite create",
						}
					}
					args = []string{boxes[len(boxes)-1].ID}
				}
				found := make([]any, 0, len(args))
				failed := eachName(args, func(ref string) error {
					v, err := inspect(c, rt, ref)
					if err == nil {
						found = append(found, v)
					}
					return err
				})
				if err := a.writeInspected(format, found); err != nil {
					return err
				}
				return failed
			})
		},
	}
	c.Flags().BoolVarP(&latest, "latest", "l", false, "inspect the box that was created last")
	c.Flags().StringVarP(&format, "format", "f", "json", "output format: json, yaml, or a Go template")
	return c
}

// inspect looks for a box, then for an image.
func inspect(c *cobra.Command, rt *boxlite.Runtime, ref string) (any, error) {
	box, err := rt.Get(c.Context(), ref)
	if err == nil {
		return box.Info(c.Context())
	}
	if errors.Is(err, boxlite.ErrNotFound) {
		if image, e := rt.Images().Get(c.Context(), ref); e == nil {
			return image, nil
		}
	}
	return nil, err
}

func (a *app) writeInspected(format string, found []any) error {
	if format == "json" || format == "yaml" {
		return a.write(format, found, nil)
	}
	t, err := template.New("format").Option("missingkey=error").Funcs(template.FuncMap{"json": toJSON}).Parse(format)
	if err != nil {
		return usagef("--format: %w", err)
	}
	for _, v := range found {
		fields, err := templateFields(v)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, fields); err != nil {
			return usagef("--format: %w", err)
		}
		if _, err := a.stdout.Write(append(out.Bytes(), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// templateFields returns what a template sees: the fields by their JSON names.
func templateFields(v any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	if info, ok := v.(boxlite.BoxInfo); ok {
		state := map[string]any{
			"Status": fields["status"], "StartedAt": fields["startedAt"], "ExitCode": nil,
			"Health": map[string]any{"Status": info.Health.Status, "FailingStreak": info.Health.FailingStreak},
		}
		if info.Exit != nil && info.Exit.Code >= 0 {
			state["ExitCode"] = info.Exit.Code
		}
		fields["State"] = state
	}
	return fields, nil
}

func toJSON(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}
