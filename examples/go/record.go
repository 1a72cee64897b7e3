package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"time"

	pb "bursar.example/client/gen/bursar/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Events per message, which takes at most 1000, and streams in a row that may end without progress.
const batchEvents, failuresMax = 500, 10

// recorded sums up what became of events.
type recorded struct {
	acked, duplicates, resent, streams int64
	rejected                           map[string]int64 // by reason
}

// record streams events until each has its final outcome, over as many streams as that takes. What a stream leaves
// unacknowledged is sent again on the next one, with the same event ids: what the server has already is a duplicate.
func record(ctx context.Context, client pb.MeteringServiceClient, events []*pb.UsageEvent) (recorded, error) {
	sum := recorded{rejected: map[string]int64{}}
	for failures := 0; sum.acked < int64(len(events)); {
		before := sum.acked
		sum.streams++
		err := recordSome(ctx, client, events[before:], &sum)
		if failures++; sum.acked > before {
			failures = 0
		}
		if err != nil && (!mayPass(err) || failures == failuresMax) {
			return sum, fmt.Errorf("recorded %d of %d events: %w", sum.acked, len(events), err)
		} else if err != nil {
			pause := min(100*time.Millisecond<<failures, 10*time.Second)
			time.Sleep(time.Duration((0.5 + rand.Float64()/2) * float64(pause)))
		}
	}
	return sum, nil
}

// recordSome sends events over one stream, never more than the credits beyond the last acknowledgement.
func recordSome(ctx context.Context, client pb.MeteringServiceClient, events []*pb.UsageEvent, sum *recorded) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.RecordUsage(ctx)
	if err != nil {
		return err
	}
	var sent, acked int64
	total := int64(len(events))
	defer func() { sum.resent += sent - acked }()
	for acked < total {
		answer, err := stream.Recv() // the server speaks first
		if err != nil {
			return err
		}
		sum.acked += answer.AckedThrough - acked
		sum.duplicates += answer.DuplicateCount
		for _, reject := range answer.Rejects {
			sum.rejected[reason(status.FromProto(reject.Status))]++
		}
		acked = answer.AckedThrough
		log.Printf("acked %d", sum.acked)
		room := min(acked+int64(answer.Credits), total)
		for !answer.Drain && sent < room {
			end := min(sent+batchEvents, room)
			batch := &pb.RecordUsageRequest{FirstSeq: sent + 1, Events: events[sent:end]}
			if err := stream.Send(batch); err != nil {
				break // the stream is over: Recv says why
			}
			sent = end
		}
	}
	return stream.CloseSend()
}

// mayPass says whether a new stream may get further.
func mayPass(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.ResourceExhausted && reason(status.Convert(err)) == "OVERLOADED"
}

// reason returns the machine-readable reason of an error.
func reason(of *status.Status) string {
	for _, detail := range of.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return of.Code().String()
}
