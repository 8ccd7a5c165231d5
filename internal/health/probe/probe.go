// Package probe asks units whether they work, in the ways that a unit's file can say:
// over HTTP, TCP and gRPC, or by a command.
package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"argosy/internal/unitfile"
)

// Ask asks one question, whose host and port are known, and returns what is wrong with
// the answer, nil if nothing is. It ends with ctx, which should have a deadline. The
// environment is that of a command.
func Ask(ctx context.Context, p unitfile.Probe, environment []string) error {
	address := net.JoinHostPort(p.Host, strconv.Itoa(int(p.Port)))
	var err error
	switch p.Kind {
	case unitfile.ProbeExec:
		err = run(ctx, p.Command, environment)
	case unitfile.ProbeTCP:
		err = connect(ctx, address)
	case unitfile.ProbeGRPC:
		err = callGRPC(ctx, address, p.Path)
	default:
		err = get(ctx, p.Kind+"://"+address+p.Path)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("no answer in time")
	}
	return err
}

func connect(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return plain(err)
	}
	return conn.Close()
}

// answerMax is how much of an answer is read: its first lines say all that counts.
const answerMax = 64 << 10

// get asks for a page: what is found, or is found elsewhere, is good. Who asks is on the
// same machine, so it does not matter who signed the certificate.
func get(ctx context.Context, page string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "argosy-health")
	transport := &http.Transport{
		DisableKeepAlives: true, MaxResponseHeaderBytes: answerMax,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return plain(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, answerMax)); err != nil {
		return plain(err)
	}
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Errorf("HTTP %d", answer.StatusCode)
	}
	return nil
}

// callGRPC asks as the gRPC Health Checking Protocol says.
func callGRPC(ctx context.Context, address, service string) error {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		return fmt.Errorf("gRPC: %s", status.Convert(err).Message())
	}
	if s := answer.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("gRPC: %s", s)
	}
	return nil
}

// plain takes the ceremony off an error of the network: who was asked is known.
func plain(err error) error {
	for {
		switch e := err.(type) { //nolint:errorlint // one layer at a time
		case *url.Error:
			err = e.Err
		case *net.OpError:
			err = e.Err
		default:
			text := err.Error()
			if _, cause, found := strings.Cut(text, "connect: "); found {
				text = cause
			}
			return fmt.Errorf("%s", text)
		}
	}
}
