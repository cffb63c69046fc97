//! The plan of a day: calls, mishaps and kills, drawn at random before it begins.

use std::collections::BTreeMap;

use deskreel_model::link::Command;
use serde_json::{Value, json};

use super::random::Random;
use super::simulator::utc;
use super::truth::Call;

pub struct DayPlan {
    pub agents: usize,
    pub calls: usize,
}

/// Something that happens at a time.
pub enum Happening {
    /// A second has passed.
    Tick,
    /// The switch hands an event to the server, or keeps it for a server that is down.
    Event(Value),
    Mishap(usize, Mishap),
    End(usize, Mishap),
    /// A recorder connects, if it can.
    Connect(usize),
    /// A recorder carries out a command, unless its PC was started again since.
    Obey(usize, u32, Command),
    /// The server is about to be killed, and no longer writes its updates.
    LoseUpdates,
    Kill,
    Start,
    /// Recorders upload.
    Deliver,
    /// The account is compared while the day goes on.
    Compare,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mishap {
    /// The line is cut, and both ends know.
    LineCut,
    /// The line is dead, and no end knows.
    LineDead,
    PowerLost,
    /// Together with the line's hardware: the server does not notice.
    PowerLostSilently,
    DiskFull,
}

const MISHAPS: [Mishap; 5] =
    [Mishap::LineCut, Mishap::LineDead, Mishap::PowerLost, Mishap::PowerLostSilently, Mishap::DiskFull];

/// Happenings by time; those of one time in the order of their planning.
#[derive(Default)]
pub struct Agenda {
    happenings: BTreeMap<(i64, usize), Happening>,
    planned: usize,
}

impl Agenda {
    pub fn add(&mut self, at: i64, happening: Happening) {
        self.planned += 1;
        self.happenings.insert((at, self.planned), happening);
    }

    pub fn next(&mut self) -> Option<(i64, Happening)> {
        self.happenings.pop_first().map(|((at, _), happening)| (at, happening))
    }
}

/// Of ten agents, one has logged in without a place.
pub fn has_place(agent: usize) -> bool {
    agent % 10 != 9
}

/// Plans a day. Returns its calls, and its end.
pub fn plan(day: &DayPlan, random: &Random, agenda: &mut Agenda) -> (Vec<Call>, i64) {
    for agent in 0..day.agents {
        let mut event = json!({ "type": "agent.logged_in", "agent": format!("a{agent}") });
        if has_place(agent) {
            event["place"] = json!(format!("pc-{agent}"));
        }
        add_event(agenda, event, 1000, 1000);
    }
    let calls = plan_calls(day, random, agenda);
    let last = calls.iter().map(|call| call.to).max().unwrap_or(0);
    (0..day.agents).for_each(|agent| plan_mishaps(agent, last, random, agenda));
    plan_kills(last, random, agenda);
    // All mishaps are over by then, and all is delivered.
    let end = last + 1_200_000;
    (0..end / 1000).for_each(|second| agenda.add(second * 1000, Happening::Tick));
    (0..end / 10_000).for_each(|tenth| agenda.add(tenth * 10_000 + 7, Happening::Deliver));
    (1..last / 300_000).for_each(|part| agenda.add(part * 300_000 + 9, Happening::Compare));
    (0..last / 900_000).for_each(|part| {
        let at = part * 900_000 + random.between(0, 900_000);
        let event = json!({ "type": "agent.state", "agent": "a0", "media": "chat", "state": "ready" });
        // From a PC whose clock is hours ahead.
        add_event(agenda, event, at + random.between(600_000, 20_000_000), at);
    });
    (calls, end)
}

fn plan_calls(day: &DayPlan, random: &Random, agenda: &mut Agenda) -> Vec<Call> {
    let mut free: Vec<i64> = (0..day.agents).map(|_| random.between(10_000, 300_000)).collect();
    let (mut calls, mut reported) = (Vec::new(), vec![0; day.agents]);
    for number in 0..day.calls {
        let seat = number % day.agents;
        let from = free[seat];
        let to = from + random.between(20_000, 600_000);
        free[seat] =
            to + if random.percent(30) { random.between(3000, 9000) } else { random.between(9000, 600_000) };
        for (kind, at) in [("call.established", from), ("call.cleared", to)] {
            let event = json!({ "type": kind, "agent": format!("a{seat}"), "call": number.to_string() });
            let late = if random.percent(5) { random.between(2000, 8000) } else { random.between(0, 300) };
            // In order, as a switch reports what an agent does.
            reported[seat] = (at + late).max(reported[seat] + 1);
            add_event(agenda, event, at, reported[seat]);
        }
        calls.push(Call { number, seat, from, to, reported: None });
    }
    calls
}

fn add_event(agenda: &mut Agenda, mut event: Value, at: i64, reported: i64) {
    event["at"] = json!(utc(at).to_string());
    agenda.add(reported, Happening::Event(event));
}

fn plan_mishaps(agent: usize, last: i64, random: &Random, agenda: &mut Agenda) {
    let mut at = random.between(60_000, 900_000);
    while at < last {
        let mishap = MISHAPS[random.between(0, MISHAPS.len() as i64) as usize];
        let long = if random.percent(50) { 60_000 } else { 600_000 };
        let end = at + random.between(5000, long);
        agenda.add(at, Happening::Mishap(agent, mishap));
        agenda.add(end, Happening::End(agent, mishap));
        at = end + random.between(60_000, 1_200_000);
    }
}

fn plan_kills(last: i64, random: &Random, agenda: &mut Agenda) {
    let mut at = random.between(120_000, 900_000);
    while at < last {
        if random.percent(50) {
            agenda.add(at - random.between(1, 3000), Happening::LoseUpdates);
        }
        agenda.add(at, Happening::Kill);
        let long = if random.percent(50) { 10_000 } else { 180_000 };
        let start = at + random.between(1000, long);
        agenda.add(start, Happening::Start);
        at = start + random.between(120_000, 1_800_000);
    }
}
