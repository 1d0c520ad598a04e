package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
)

const (
	pod       = "box"
	container = "main"
	sizable   = 3 << 20
)

func errorsAs(err error, target any) bool { return errors.As(err, target) }

func (w *world) command(words []string, stdin bool) *url.URL {
	return w.clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(w.namespace).Name(pod).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: container, Command: words, Stdin: stdin, Stdout: true, Stderr: true,
	}, scheme.ParameterCodec).URL()
}

// execute runs commands over WebSockets, with the fall-back to SPDY that kubectl has.
func execute(w *world) error {
	return w.commands(func(target *url.URL) (remotecommand.Executor, error) {
		first, err := remotecommand.NewWebSocketExecutor(w.config, "GET", target.String())
		if err != nil {
			return nil, err
		}
		second, err := remotecommand.NewSPDYExecutor(w.config, "POST", target)
		if err != nil {
			return nil, err
		}
		return remotecommand.NewFallbackExecutor(first, second, httpstream.IsUpgradeFailure)
	})
}

// executeSpdy runs them over SPDY alone, as programs written before 2024 do.
func executeSpdy(w *world) error {
	return w.commands(func(target *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(w.config, "POST", target)
	})
}

func (w *world) commands(executor func(*url.URL) (remotecommand.Executor, error)) error {
	run := func(words []string, stdin io.Reader) (string, string, error) {
		chosen, err := executor(w.command(words, stdin != nil))
		if err != nil {
			return "", "", err
		}
		var out, errs bytes.Buffer
		err = chosen.StreamWithContext(w.ctx, remotecommand.StreamOptions{
			Stdin: stdin, Stdout: &out, Stderr: &errs})
		return out.String(), errs.String(), err
	}
	out, errs, err := run([]string{"sh", "-c", "echo $GREETING; echo oops >&2"}, nil)
	if err != nil {
		return err
	}
	report("streams", map[string]any{"out": out, "errs": errs})
	_, _, err = run([]string{"sh", "-c", "exit 7"}, nil)
	var code utilexec.CodeExitError
	report("code", map[string]any{"typed": errors.As(err, &code), "code": code.Code, "error": fmt.Sprint(err)})
	echoed, _, err := run([]string{"cat"}, strings.NewReader(strings.Repeat("x", sizable)))
	report("input", map[string]any{"size": len(echoed), "error": fmt.Sprint(err)})
	_, _, err = run([]string{"/no/such/program"}, nil)
	report("missing", map[string]any{"failed": err != nil, "error": fmt.Sprint(err)})
	return nil
}

func (w *world) portsURL() *url.URL {
	return w.clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(w.namespace).Name(pod).
		SubResource("portforward").URL()
}

// forward asks a pod over a port of this machine, through a WebSocket.
func forward(w *world) error {
	dialer, err := portforward.NewSPDYOverWebsocketDialer(w.portsURL(), w.config)
	if err != nil {
		return err
	}
	return w.ask(dialer)
}

// forwardSpdy does so over SPDY alone.
func forwardSpdy(w *world) error {
	transport, upgrader, err := spdy.RoundTripperFor(w.config)
	if err != nil {
		return err
	}
	return w.ask(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", w.portsURL()))
}

func (w *world) ask(dialer httpstream.Dialer) error {
	stop, ready := make(chan struct{}), make(chan struct{})
	var errs bytes.Buffer
	forwarder, err := portforward.NewOnAddresses(
		dialer, []string{"127.0.0.1"}, []string{"0:8080"}, stop, ready, io.Discard, &errs)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return err
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	codes := []int{}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 5 {
		response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return err
		}
		response.Body.Close()
		codes = append(codes, response.StatusCode)
	}
	close(stop)
	report("forwarded", map[string]any{"codes": codes, "errors": errs.String(), "ended": fmt.Sprint(<-ended)})
	return nil
}
