//! The channel plan: which channel carries the code next if the customer does not answer, and when.
//!
//! A plan moves on when the wait of a step is over, and at once when its message failed or did not
//! arrive. A message that *arrived* does not stop the plan: a customer who saw the code ends the
//! verification with it, and one who did not see it (a muted telephone, a mailbox on another
//! machine) needs the next channel just as much.

use std::time::Duration;

use crate::domain::{recipient::Channel, time::Timestamp};

/// One step: a channel, and the wait before the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The channel that carries the code.
    pub channel: Channel,
    /// The wait, counted from when its message was added; `None` for the last step.
    pub wait: Option<Duration>,
}

/// The step that comes next, unless the verification ends before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// The channel that carries the code.
    pub channel: Channel,
    /// When it is due.
    pub at: Timestamp,
}

/// The plan of one start: the steps whose channels can be reached, the preferred channel first. If
/// the preferred channel has no wait of its own, it gets that of the plan's first step.
#[must_use]
pub fn resolve(
    plan: &[Step],
    preferred: Option<Channel>,
    can_reach: impl Fn(Channel) -> bool,
) -> Vec<Step> {
    let Some(first) = plan.first() else {
        return Vec::new();
    };
    let mut steps: Vec<Step> = plan
        .iter()
        .copied()
        .filter(|step| can_reach(step.channel))
        .collect();
    if let Some(channel) = preferred.filter(|channel| can_reach(*channel)) {
        let own = steps
            .iter()
            .find(|step| step.channel == channel)
            .and_then(|step| step.wait);
        steps.retain(|step| step.channel != channel);
        steps.insert(
            0,
            Step {
                channel,
                wait: own.or(first.wait),
            },
        );
    }
    if let Some(last) = steps.last_mut() {
        last.wait = None;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn step(channel: Channel, wait: Option<u64>) -> Step {
        Step {
            channel,
            wait: if let Some(s) = wait {
                Some(Duration::from_secs(s))
            } else {
                None
            },
        }
    }

    const PLAN: [Step; 3] = [
        step(Channel::Whatsapp, Some(20)),
        step(Channel::Sms, Some(40)),
        step(Channel::Voice, None),
    ];

    #[test]
    fn a_step_that_cannot_be_reached_is_left_out() {
        let without = |gone: Channel| resolve(&PLAN, None, |channel| channel != gone);
        assert_eq!(without(Channel::Email), PLAN);
        assert_eq!(without(Channel::Whatsapp), PLAN[1..]);
        assert_eq!(
            without(Channel::Voice),
            [PLAN[0], step(Channel::Sms, None)],
            "the last one waits for nothing"
        );
        assert_eq!(resolve(&PLAN, None, |_| false), []);
        assert_eq!(
            resolve(&[], Some(Channel::Sms), |_| true),
            [],
            "without a plan there is none"
        );
    }

    #[test]
    fn chan_11_the_preferred_channel_comes_first_if_it_can_be_reached() {
        let preferring =
            |channel| resolve(&PLAN, Some(channel), |channel| channel != Channel::Email);
        let [whatsapp, sms, _] = PLAN;
        assert_eq!(
            preferring(Channel::Sms),
            [sms, whatsapp, step(Channel::Voice, None)]
        );
        assert_eq!(
            preferring(Channel::Voice),
            [
                step(Channel::Voice, Some(20)),
                whatsapp,
                step(Channel::Sms, None)
            ]
        );
        assert_eq!(preferring(Channel::Email), PLAN, "not obeyed");
        let with_mail = resolve(&PLAN, Some(Channel::Email), |_| true);
        assert_eq!(
            with_mail[0],
            step(Channel::Email, Some(20)),
            "permitted, and no step of the plan"
        );
        assert_eq!(with_mail[1..], PLAN);
    }
}
