// A client of bursar: one customer's story, from its creation to its usage. Ends with an error when an answer is not
// what it should be.
//
//	go run . [ADDR [CUSTOMER [EVENTS]]]
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	pb "bursar.example/client/gen/bursar/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func main() {
	log.SetFlags(0)
	customer := "go-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	args := append(os.Args[1:], []string{"localhost:50051", customer, "5000"}[min(len(os.Args)-1, 3):]...)
	events := must(strconv.ParseInt(args[2], 10, 64))
	config := string(must(os.ReadFile("../service_config.json")))
	connection := must(grpc.NewClient("dns:///"+args[0],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(config), // timeouts, retries, waiting for a connection
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true})))
	defer connection.Close()
	// The service config has a timeout for each call; this one is for the whole story.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := story{ctx, connection, args[1]}
	s.create()
	s.check(1_200, true)
	s.check(20_000, false)
	s.work()
	s.stream(events)
	s.usage("tokens", 2100, 2)
	s.usage("generated_tokens", 3*events, events)
}

type story struct {
	ctx        context.Context
	connection *grpc.ClientConn
	customer   string
}

// create makes a customer, twice: the request id makes the second call a repeat of the first.
func (s story) create() {
	client := pb.NewCustomerServiceClient(s.connection)
	request := &pb.CreateCustomerRequest{
		RequestId: s.customer + "-create", Customer: &pb.Customer{CustomerId: s.customer, DisplayName: "Example"}}
	first := must(client.CreateCustomer(s.ctx, request))
	again := must(client.CreateCustomer(s.ctx, request))
	log.Printf("created %s on plan %s", s.customer, first.Customer.PlanId)
	expect("a repeat has the same answer", proto.Equal(first, again), true)
	_, err := client.GetCustomer(s.ctx, &pb.GetCustomerRequest{CustomerId: s.customer + "-other"})
	expect("reason of an unknown customer", reason(status.Convert(err)), "CUSTOMER_NOT_FOUND")
}

// check asks before work. A denial is an answer, not an error.
func (s story) check(quantity int64, allowed bool) {
	decision := must(pb.NewEntitlementServiceClient(s.connection).CheckEntitlement(s.ctx, &pb.CheckEntitlementRequest{
		CustomerId: s.customer, FeatureId: "tokens", Quantity: &quantity})).Decision
	log.Printf("check %d tokens: %v, %d left", quantity, decision.Reason, decision.GetRemaining())
	expect("allowed", decision.Allowed, allowed)
}

// work reserves the most that it may take, works, and commits what it took.
func (s story) work() {
	client := pb.NewEntitlementServiceClient(s.connection)
	reserved := must(client.Reserve(s.ctx, &pb.ReserveRequest{
		RequestId: s.customer + "-reserve", CustomerId: s.customer, Ttl: durationpb.New(time.Minute), Holder: "example",
		Items: []*pb.ReserveItem{{FeatureId: "tokens", Quantity: proto.Int64(5000)}, {FeatureId: "parallel_jobs"}}}))
	expect("reserved", reserved.Decision.Allowed, true)
	busy := must(client.CheckEntitlement(s.ctx, &pb.CheckEntitlementRequest{
		CustomerId: s.customer, FeatureId: "parallel_jobs"}))
	expect("a second job", busy.Decision.Reason, pb.DecisionReason_DECISION_REASON_CONCURRENCY_LIMIT_EXCEEDED)
	committed := must(client.CommitReservation(s.ctx, &pb.CommitReservationRequest{
		RequestId: s.customer + "-commit", CustomerId: s.customer, ReservationId: reserved.Reservation.ReservationId,
		Events: []*pb.UsageEvent{
			{EventId: "chat", MeterId: "tokens", Quantity: 1200},
			{EventId: "research", MeterId: "tokens", Quantity: 300, Dimensions: map[string]string{"operation": "research"}}}}))
	item := committed.Reservation.Items[0]
	log.Printf("reserved %d tokens, used %d", item.Quantity, item.UsedMilli/1000)
	expect("state", committed.Reservation.State, pb.ReservationState_RESERVATION_STATE_COMMITTED)
	expect("used: research counts three times", item.UsedMilli, 2_100_000)
}

// stream records many events, among them one that is refused, and then some of them again.
func (s story) stream(count int64) {
	client := pb.NewMeteringServiceClient(s.connection)
	event := func(id, meter string, quantity int64) *pb.UsageEvent {
		return &pb.UsageEvent{EventId: id, CustomerId: s.customer, MeterId: meter, Quantity: quantity,
			EventTime: timestamppb.Now()} // when it happened, not when it arrives
	}
	events := []*pb.UsageEvent{event("bad", "tokens", -5)}
	for n := range count {
		events = append(events, event(fmt.Sprintf("event-%d", n), "generated_tokens", 3))
	}
	sum := must(record(s.ctx, client, events))
	log.Printf("recorded %d events on %d streams, %d sent again", sum.acked, sum.streams, sum.resent)
	expect("rejected", sum.rejected["QUANTITY_NEGATIVE"], 1)
	again := must(record(s.ctx, client, events[1:101]))
	expect("duplicates", again.duplicates, 100)
}

// usage reads the total of a meter.
func (s story) usage(meter string, value, count int64) {
	now := time.Now()
	answer := must(pb.NewMeteringServiceClient(s.connection).GetUsage(s.ctx, &pb.GetUsageRequest{
		CustomerId: s.customer, MeterId: meter,
		StartTime: timestamppb.New(now.Add(-24 * time.Hour)), EndTime: timestamppb.New(now.Add(time.Hour))}))
	expect("rows", len(answer.Rows), 1)
	row := answer.Rows[0]
	log.Printf("%s: %d in %d events", meter, row.Value, row.EventCount)
	expect(meter, [2]int64{row.Value, row.EventCount}, [2]int64{value, count})
}

func expect[T comparable](what string, actual, expected T) {
	if actual != expected {
		log.Fatalf("%s: %v, expected %v", what, actual, expected)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
