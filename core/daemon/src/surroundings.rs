//! Reads what the seat's health depends on around it: the line to the server, room, sinks and the certificate
//! of the desktop API. Cheap enough for each second, since it only asks for states that others keep.

use std::time::{Duration, Instant};

use deskreel_desk_api::CertificateCheck;
use deskreel_link::{LinkHandle, LinkPhase, LinkState};
use deskreel_model::{Place, Utc};

use crate::seat::Surroundings;
use crate::spool::SeatSpool;

/// Time between two looks at the certificate: each verifies its signature.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(60);

pub struct SurroundingsReader {
    /// One moment by both clocks, for the times of failures.
    began: (Instant, Utc),
    /// The place of this seat, if desktops log their agents in here: their events name it.
    place: Option<Place>,
    certificate: Option<CertificateCheck>,
    /// Why there is no line, by the last try; a new try does not change that before it succeeds.
    link: Option<String>,
    certificate_problem: Option<String>,
    certificate_at: Option<Instant>,
}

impl SurroundingsReader {
    pub fn new(place: Option<Place>, certificate: Option<CertificateCheck>, now: Utc) -> SurroundingsReader {
        SurroundingsReader {
            began: (Instant::now(), now),
            place,
            certificate,
            link: None,
            certificate_problem: None,
            certificate_at: None,
        }
    }

    pub fn read(&mut self, spool: &SeatSpool, link: Option<&LinkHandle>) -> Surroundings {
        let state = link.map(|link| link.state().borrow().clone());
        let now = Instant::now();
        self.look_at_certificate(now);
        let known = state.as_ref().and_then(|state| state.place.as_ref());
        let own = self.place.as_ref();
        Surroundings {
            place_at_server: known
                .filter(|known| own.is_some_and(|own| own != *known))
                .map(ToString::to_string),
            occupied_by: state.as_ref().and_then(|state| state.occupied_by.clone()),
            link: state.and_then(|state| self.link_problem(state)),
            room: spool.no_room(),
            sinks: spool.sink_problems(),
            failing: spool.failing(now, self.began),
            certificate: self.certificate_problem.clone(),
        }
    }

    fn link_problem(&mut self, state: LinkState) -> Option<String> {
        match state.phase {
            LinkPhase::Open { .. } => self.link = None,
            LinkPhase::Cut { problem, .. } => self.link = Some(problem),
            LinkPhase::Connecting if self.link.is_none() => self.link = Some("it is being opened".to_owned()),
            LinkPhase::Connecting => {}
        }
        self.link.clone()
    }

    fn look_at_certificate(&mut self, now: Instant) {
        let is_due =
            self.certificate_at.is_none_or(|at| now.saturating_duration_since(at) >= CERTIFICATE_EVERY);
        if let Some(certificate) = self.certificate.as_ref().filter(|_| is_due) {
            self.certificate_at = Some(now);
            self.certificate_problem = certificate.problem();
        }
    }
}
