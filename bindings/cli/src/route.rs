//! Which model would take a call, and why not another?

use outlay::{
    Money, Request,
    meter::{Abilities, Ability, Exposure, Media},
    policy::router::Candidate,
    report::text::{Table, shown},
    run::{
        process,
        route::{self, Explained, Judged, When},
    },
};
use serde_json::{Value, json};

use crate::{arguments::RouteExplain, json};

const PICO_PER_NANO: i128 = 1_000;

pub(crate) fn explain(asked: &RouteExplain) -> outlay::Result<String> {
    let input_media = Media { image: asked.images, ..Media::default() };
    let exposure = Exposure { input_media, ..Exposure::tokens(asked.input) };
    let needs: Abilities = asked.needs.iter().copied().collect();
    let needs = if needs.has(Ability::Responses) { needs } else { needs.and(Ability::Chat) };
    let request = Request::model(&asked.model).exposure(exposure).max_output_tokens(asked.output);
    let own = asked.fallback.as_ref().map(|models| route::models(models.iter().map(String::as_str)));
    let explained =
        route::explain(&process::config()?, &request, needs, asked.kind.as_deref(), own.transpose()?)?;
    if asked.json.json {
        return Ok(json::printed(&whole(&explained)));
    }
    let mut table = Table::new(["model", "provider", "at most", "answer"]).left(2);
    table.row([
        shown(&asked.model),
        explained.asked.provider.to_string(),
        cost(&explained.asked),
        String::new(),
    ]);
    for (no, (model, found)) in explained.others.iter().enumerate() {
        let taken = explained.taken() == Some(no);
        let (provider, most) = found.as_ref().map_or_else(
            |_| ("-".to_owned(), "-".to_owned()),
            |(other, _)| (other.provider.to_string(), cost(other)),
        );
        table.row([shown(model), provider, most, answer(found, taken)]);
    }
    let when = match explained.when {
        When::Short => "once a call would pass a soft limit, or not fit under a hard one",
        When::Always => "from the first call",
    };
    Ok(format!("{when}:\n\n{table}\n"))
}

/// Reads a word of `--needs`.
pub(crate) fn ability(name: &str) -> Result<Ability, String> {
    Ability::named(name).ok_or_else(|| {
        let names: Vec<&str> = Ability::all().map(Ability::name).collect();
        format!("it is none of {}", names.join(", "))
    })
}

fn answer(found: &Judged, taken: bool) -> String {
    match found {
        Err(error) => shown(&error.to_string()),
        Ok((_, Some(unfit))) => unfit.reason().into_owned(),
        Ok((_, None)) if taken => "takes the call".to_owned(),
        Ok((_, None)) => "would take it after the one above".to_owned(),
    }
}

/// Rounded up to a nano-USD.
fn cost(candidate: &Candidate) -> String {
    let nanos = (candidate.cost_pico + PICO_PER_NANO - 1).div_euclid(PICO_PER_NANO);
    Money::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)).decimal()
}

fn whole(explained: &Explained) -> Value {
    let others = explained.others.iter().enumerate().map(|(no, (model, found))| {
        let (other, unfit) = found.as_ref().map_or((None, None), |(other, unfit)| (Some(other), *unfit));
        json!({
            "model": model,
            "provider": other.map(|other| &other.provider),
            "most_usd": other.map(cost),
            "taken": explained.taken() == Some(no),
            "reason": found.as_ref().err().map(ToString::to_string)
                .or(unfit.map(|unfit| unfit.reason().into_owned())),
        })
    });
    json!({
        "model": explained.asked.model,
        "provider": explained.asked.provider,
        "most_usd": cost(&explained.asked),
        "always": explained.when == When::Always,
        "others": others.collect::<Vec<_>>(),
    })
}
